"""Where generations end."""

from __future__ import annotations

import pytest

from zoom_iqa.engines.stopping import StopCheck
from zoom_iqa.policy.policy import Policy


def check(policy: Policy, *stop_strings: str) -> StopCheck:
    return StopCheck(stop_strings, policy)


@pytest.mark.parametrize("text", ["a</answer>", "> </answer></answer>", "é</answer>"])
def test_a_stop_string_ends_where_its_last_character_is_spelled(random_policy: Policy, text: str) -> None:
    stop = check(random_policy, "</answer>")
    letters = [random_policy.tokenizer.convert_tokens_to_ids(c) for c in "</answer>"]  # spelled letter by letter
    ids = [*random_policy.completion_ids(text.removesuffix("</answer>"))[:-1], *letters]
    ends = [stop(ids[: i + 1]) for i in range(len(ids))]
    first = random_policy.decode(ids[: ends.index(True) + 1])
    assert first == text[: text.index("</answer>") + len("</answer>")]


def test_end_tokens_always_end(random_policy: Policy) -> None:
    stop = check(random_policy)
    answer = random_policy.completion_ids("x</answer>")
    assert [stop(answer[: i + 1]) for i in range(len(answer))] == [False] * (len(answer) - 1) + [True]


def test_any_of_several_strings_ends(random_policy: Policy) -> None:
    stop = check(random_policy, "</answer>", "§§")
    assert stop(random_policy.completion_ids("a§§")[:-1])
    assert not stop(random_policy.completion_ids("a§")[:-1])

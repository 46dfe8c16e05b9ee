"""Bytes of tokens, joined, are the bytes of the decoded text."""

from __future__ import annotations

import pytest

from zoom_iqa.policy.policy import Policy


@pytest.mark.parametrize("text", ["3.52 crop", '{"bbox_2d": [0.1]}', "naïve – 日本 🙂\n\t\x00", ""])
def test_bytes_of_all_tokens_spell_the_text(random_policy: Policy, text: str) -> None:
    ids = random_policy.completion_ids(text)
    assert b"".join(random_policy.token_bytes[i] for i in ids).decode() == text == random_policy.decode(ids)


def test_special_tokens_spell_nothing(random_policy: Policy) -> None:
    assert random_policy.token_bytes[random_policy.end_id] == b""

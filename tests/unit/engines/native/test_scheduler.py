"""Who joins, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.engine_runs import SAMPLING
from support.written_prompts import written_prompt
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Request
from zoom_iqa.engines.native.scheduler import Scheduler, WaitingGroup, by_kind, held

TEN = replace(SAMPLING, max_new_tokens=10)


def fill(scheduler: Scheduler, name: str, count: int, *, length: int = 5, sampling: SamplingParams = TEN) -> None:
    prompt = written_prompt([1] * length)
    for i in range(count):
        scheduler.add(Request(f"{name}{i}", name, (), 0), prompt, sampling)


def keys(groups: list[WaitingGroup]) -> list[list[str]]:
    return [[request.key for request in group.requests] for group in groups]


def test_a_group_that_does_not_fit_is_split_and_the_rest_comes_first_next_time() -> None:
    scheduler = Scheduler(token_budget=50, join_share=0.0)
    fill(scheduler, "a", 6)
    fill(scheduler, "b", 1)
    assert scheduler.waiting == 7
    assert keys(scheduler.admit(running=0, reserved=0)) == [["a0", "a1", "a2", "a3"]]  # 5 + 4 * 10 of 50
    assert keys(scheduler.admit(running=4, reserved=45)) == []
    assert keys(scheduler.admit(running=0, reserved=0)) == [["a4", "a5"], ["b0"]]  # 5 + 20, and 5 + 10
    assert scheduler.waiting == 0


def test_what_joins_holds_no_more_than_the_budget() -> None:
    """Three prompts of 5 tokens beside one of 25 are held as 25 each, and a pair of another size as rows of its own."""
    scheduler = Scheduler(token_budget=140, join_share=0.0)
    for name, length in (("a", 5), ("b", 5), ("c", 5), ("long", 25)):
        fill(scheduler, name, 1, length=length)
    # 4 * 25 + 4 * 10 = 140; one token less, and the long one waits
    assert [len(group) for group in keys(scheduler.admit(running=0, reserved=1))] == [1, 1, 1]
    assert keys(scheduler.admit(running=0, reserved=0)) == [["long0"]]
    scheduler = Scheduler(token_budget=85, join_share=0.0)
    fill(scheduler, "pair", 2)
    fill(scheduler, "many", 3)
    # many once and pair's rows twice: 5 + 30 + 2 * (5 + 10) = 65; of a third group one row: 65 + 5 + 10
    fill(scheduler, "last", 2)
    joining = scheduler.admit(running=0, reserved=0)
    assert keys(joining) == [["pair0", "pair1"], ["many0", "many1", "many2"], ["last0"]]
    assert held(joining) == 80


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 5)), min_size=1, max_size=8), st.integers(40, 200))
def test_all_groups_join_in_turn_within_the_budget(groups: list[tuple[int, int]], budget: int) -> None:
    scheduler = Scheduler(token_budget=budget, join_share=0.0)
    for number, (length, count) in enumerate(groups):
        fill(scheduler, f"g{number}_", count, length=length)
    while scheduler.waiting:
        joining = scheduler.admit(running=0, reserved=0)
        assert joining
        longest = [max(len(group.prompt.ids_L) for group in cohort) for cohort in by_kind(joining)]
        prompts = sum(len(cohort) * length for cohort, length in zip(by_kind(joining), longest, strict=True))
        assert prompts + 10 * sum(len(group.requests) for group in joining) <= budget


def test_nobody_overtakes_a_long_prompt() -> None:
    scheduler = Scheduler(token_budget=50, join_share=0.0)
    fill(scheduler, "long", 1, length=38)
    fill(scheduler, "short", 1)
    assert keys(scheduler.admit(running=1, reserved=15)) == []
    assert keys(scheduler.admit(running=0, reserved=0)) == [["long0"]]


@pytest.mark.parametrize(("share", "joining"), [(0.0, 2), (0.5, 2), (0.51, 0), (1.0, 0)])
def test_joiners_wait_until_they_are_a_share_of_the_rows_running(share: float, joining: int) -> None:
    scheduler = Scheduler(token_budget=1000, join_share=share)
    fill(scheduler, "a", 2)
    assert sum(map(len, keys(scheduler.admit(running=4, reserved=100)))) == joining


def test_an_idle_engine_takes_anyone_whatever_the_share() -> None:
    scheduler = Scheduler(token_budget=1000, join_share=1.0)
    fill(scheduler, "a", 1)
    assert keys(scheduler.admit(running=0, reserved=0)) == [["a0"]]
    assert scheduler.admit(running=0, reserved=0) == []


def test_requests_for_one_prompt_that_are_sampled_otherwise_are_a_group_of_their_own() -> None:
    scheduler = Scheduler(token_budget=1000, join_share=0.0)
    fill(scheduler, "a", 2)
    fill(scheduler, "a", 1, sampling=replace(TEN, max_new_tokens=30))
    groups = scheduler.admit(running=0, reserved=0)
    assert [(len(group.requests), group.sampling.max_new_tokens) for group in groups] == [(2, 10), (1, 30)]


def test_each_request_counts_at_its_own_limit() -> None:
    scheduler = Scheduler(token_budget=50, join_share=0.0)
    fill(scheduler, "a", 1, sampling=replace(TEN, max_new_tokens=30))
    fill(scheduler, "b", 3)
    assert keys(scheduler.admit(running=0, reserved=0)) == [["a0"], ["b0"]]  # 5 + 30, then 5 + 10
    with pytest.raises(
        ConfigError, match=r"token_budget=50 is below the 5 prompt tokens \+ 46 new tokens of c0; .* 51"
    ):
        fill(scheduler, "c", 1, sampling=replace(TEN, max_new_tokens=46))


def test_the_prompt_of_a_group_that_waits_is_known() -> None:
    scheduler = Scheduler(token_budget=1000, join_share=0.0)
    assert scheduler.prompt_of("a") is None
    fill(scheduler, "a", 1)
    prompt = scheduler.prompt_of("a")
    assert prompt is not None
    assert len(prompt.ids_L) == 5
    scheduler.admit(running=0, reserved=0)
    assert scheduler.prompt_of("a") is None


def test_cohorts_are_the_commonest_size_and_single_rows_by_way_of_sampling() -> None:
    def group(name: str, count: int, sampling: SamplingParams = TEN) -> WaitingGroup:
        return WaitingGroup(written_prompt([1]), sampling, [Request(f"{name}{i}", name, (), 0) for i in range(count)])

    other = replace(TEN, greedy=True)
    cohorts = by_kind([group("a", 4), group("b", 3), group("c", 4), group("d", 2, other), group("e", 1, other)])
    assert [keys(cohort) for cohort in cohorts] == [
        [["a0", "a1", "a2", "a3"], ["c0", "c1", "c2", "c3"]],
        [["b0"], ["b1"], ["b2"]],
        [["d0", "d1"]],
        [["e0"]],
    ]
    assert by_kind([]) == []

"""What a cohort remembers of its rows, and what is left when some have gone."""

from __future__ import annotations

from dataclasses import replace

import torch

from support.engine_runs import SAMPLING
from support.written_prompts import written_prompt
from zoom_iqa.base.types import Request
from zoom_iqa.engines.native.cache import CohortCache
from zoom_iqa.engines.native.cohort import Cohort, alike_side_by_side
from zoom_iqa.engines.native.scheduler import WaitingGroup
from zoom_iqa.engines.sampler import Draw, uniform_draws

FOUR = replace(SAMPLING, max_new_tokens=4)
PROMPTS = (written_prompt([1, 2, 3]), written_prompt([1, "a"]))


def make(*, size: int = 3, sampling: object = FOUR) -> Cohort:
    """Two prompts of three tokens, ``size`` requests each; seeds are 10 * prompt + row."""
    prefix = torch.arange(2 * 2 * 3, dtype=torch.float32).view(1, 2, 2, 1, 3, 1)  # one layer, one head of width 1
    groups = [
        WaitingGroup(prompt, sampling, [Request(f"{n}/{i}", str(n), (), 10 * n + i) for i in range(size)])  # type: ignore[arg-type]
        for n, prompt in enumerate(PROMPTS)
    ]
    cache = CohortCache(prefix=prefix, lengths_n=(3, 3), rows_per_prompt=size, fixed_shapes=False)
    return Cohort(cache=cache, groups=groups)


def draw(cohort: Cohort, tokens: list[int]) -> None:
    """As the engine does: room, a draw for every row, and one more on the host's count."""
    if cohort.drawn:
        cohort.reserve()
    values = torch.tensor(tokens, dtype=torch.float32)
    cohort.record(Draw(torch.tensor(tokens), -values / 10, values / 100))
    cohort.drawn += 1


def test_uniform_numbers_and_positions_follow_from_requests_and_prompts() -> None:
    cohort = make()
    seeds = [0, 1, 2, 10, 11, 12]
    for step in range(3):
        expected = [float(uniform_draws(seed, 4)[step]) for seed in seeds]
        assert cohort.next_uniform.tolist() == expected
        assert cohort.last_position_R.tolist() == [2 + step] * 6  # both prompts end at place 2: an image of two tokens
        draw(cohort, [5] * 6)


def test_what_was_drawn_for_a_row_comes_back_when_it_finishes() -> None:
    cohort = make()
    for tokens in ([1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16], [21, 22, 23, 24, 25, 26]):
        draw(cohort, tokens)
    assert cohort.tail(4, 2) == [15, 25]
    assert cohort.tail(4, 9) == [5, 15, 25]
    assert [key for _, request in cohort.unfinished([1, 4]) for key in [request.key]] == ["0/1", "1/1"]
    ids, logprobs, entropies = cohort.finish(4)
    assert ids == [5, 15, 25]
    torch.testing.assert_close(torch.tensor(logprobs), torch.tensor([-0.5, -1.5, -2.5]))
    torch.testing.assert_close(torch.tensor(entropies), torch.tensor([0.05, 0.15, 0.25]))
    assert list(cohort.unfinished([4])) == []
    assert cohort.alive == 5
    assert not cohort.full
    draw(cohort, [0] * 6)
    assert cohort.full


def test_the_sequence_of_a_row_is_its_prompt_and_all_it_has_keys_of() -> None:
    cohort = make()
    draw(cohort, [1, 2, 3, 4, 5, 6])
    assert cohort.sequence(5).tokens_5L[0].tolist() == PROMPTS[1].ids_L.tolist()
    draw(cohort, [11, 12, 13, 14, 15, 16])
    assert cohort.sequence(0).tokens_5L[0].tolist() == [1, 2, 3, 1]
    assert cohort.sequence(0).tokens_5L[2:, 3].tolist() == [3, 3, 3]
    assert cohort.prompt(5) is PROMPTS[1]


def test_reserved_tokens_are_prompts_and_rows_at_their_limit() -> None:
    assert make().reserved == 2 * 3 + 6 * 4
    assert make(size=1, sampling=replace(FOUR, max_new_tokens=10)).reserved == 2 * 3 + 2 * 10


def test_rows_are_dropped_once_that_pays() -> None:
    cohort = make()
    draw(cohort, [1, 2, 3, 4, 5, 6])
    version = cohort.version
    cohort.finish(0)
    cohort.shrink()
    assert cohort.cache.rows == 6  # the other prompt still has three rows
    cohort.finish(3)
    cohort.shrink()
    assert cohort.cache.rows == 4
    assert cohort.version != version
    assert [request.key for _, request in cohort.unfinished(range(4))] == ["0/1", "0/2", "1/1", "1/2"]
    assert cohort.last_token_R.tolist() == [2, 3, 5, 6]
    assert [cohort.tail(row, 1) for row in range(4)] == [[2], [3], [5], [6]]
    cohort.finish(0)
    cohort.finish(1)
    cohort.shrink()  # the first prompt has nobody left
    assert cohort.cache.rows == 2
    assert cohort.prompt(0) is PROMPTS[1]
    draw(cohort, [7, 8])
    assert [cohort.finish(row)[0] for row in range(2)] == [[5, 7], [6, 8]]
    assert cohort.alive == 0


def test_a_finished_row_stays_where_prompts_need_equally_many() -> None:
    cohort = make()
    draw(cohort, [1, 2, 3, 4, 5, 6])
    for row in (0, 1, 3):
        cohort.finish(row)
    cohort.shrink()
    assert cohort.cache.rows == 4
    alive = [(row, request.key) for row, request in cohort.unfinished(range(4))]
    assert alive == [(1, "0/2"), (2, "1/1"), (3, "1/2")]
    assert cohort.alive == 3


def test_cohorts_that_are_sampled_alike_stand_side_by_side() -> None:
    other = replace(FOUR, greedy=True)
    a, b, c = make(), make(sampling=other), make()
    assert alike_side_by_side([a, b, c]) == [a, c, b]
    assert alike_side_by_side([b, a, c]) == [b, a, c]

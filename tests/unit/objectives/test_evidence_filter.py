"""Evidence Gradient Filtering on tokens: dependencies, the top share of each response, and factors of advantages."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.filters.evidence import EvidenceFilter, Hidden, Shaping, top_of_each
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import hidden_mark
from zoom_iqa.parallel.reducer import LocalReducer

VIEW: Hidden = "coarse_crop"


def tokens_of(d: list[float], *, trajectory: list[int], after: list[bool]) -> TokenBatch:
    old_M = torch.full((len(d),), -2.0)
    return TokenBatch(
        trajectory_M=torch.tensor(trajectory),
        advantages_M=torch.ones(len(d)),
        weights_M=torch.full((len(d),), 1 / len(d)),
        marks={hidden_mark(VIEW): torch.tensor(after)},
        signals={"old": old_M, f"old/{VIEW}": old_M + torch.tensor(d)},
    )


def evidence(*, top: float = 0.4, shaping: Shaping | None = None) -> EvidenceFilter:
    return EvidenceFilter(view=VIEW, top=top, most_nats=2.0, shaping=shaping)


def dependency(d: float) -> float:
    return math.exp(d) - d - 1


def test_the_dependency_is_clamped() -> None:
    tokens = tokens_of([0.0, -1.0, 1.5, -9.0, 9.0], trajectory=[0] * 5, after=[True] * 5)
    expected = [0.0, dependency(-1.0), dependency(1.5), dependency(-2.0), dependency(2.0)]
    assert evidence().dependency(tokens).tolist() == pytest.approx(expected, rel=1e-5)


def test_small_dependencies_keep_their_order() -> None:
    """About d^2 / 2; in float32 e^d - d - 1 of all four is 0, and the earliest would be kept."""
    old_M = torch.zeros(4)
    d = [1e-6, -3e-6, 2e-6, 3e-5]
    tokens = TokenBatch(
        trajectory_M=torch.zeros(4, dtype=torch.long),
        advantages_M=torch.ones(4),
        weights_M=torch.full((4,), 0.25),
        marks={hidden_mark(VIEW): torch.ones(4, dtype=torch.bool)},
        signals={"old": old_M, f"old/{VIEW}": old_M + torch.tensor(d)},
    )
    assert evidence().dependency(tokens).tolist() == pytest.approx([one**2 / 2 for one in d], rel=1e-4)
    keep_M, _ = evidence(top=0.5).keep(tokens, step=0, mini_batch=0, reducer=LocalReducer())
    assert keep_M.tolist() == [False, True, False, True]


def test_the_most_dependent_tokens_of_each_response_are_kept_and_all_before_evidence() -> None:
    """Of five tokens two are kept, of three (rounded up) two; a response without evidence keeps its own."""
    d = [0.0, 0.0, 0.1, -0.9, 0.8, 0.2, 0.0, 0.3, 0.2, 0.1, 0.0]
    tokens = tokens_of(
        d, trajectory=[0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2], after=[False, False, *[True] * 5, *[True] * 3, False]
    )
    keep_M, figures = evidence().keep(tokens, step=0, mini_batch=0, reducer=LocalReducer())
    assert keep_M.tolist() == [True, True, False, True, True, False, False, True, True, False, True]
    assert (figures["kept"], figures["dropped"]) == (7.0, 4.0)
    kept, dropped = [-0.9, 0.8, 0.3, 0.2], [0.1, 0.2, 0.0, 0.1]
    assert figures["dependency_kept"] == pytest.approx(sum(map(dependency, kept)) / 4, rel=1e-5)
    assert figures["dependency_dropped"] == pytest.approx(sum(map(dependency, dropped)) / 4, rel=1e-5)


def test_without_evidence_everything_is_kept() -> None:
    tokens = tokens_of([0.0] * 4, trajectory=[0, 0, 1, 1], after=[False] * 4)
    keep_M, figures = evidence(shaping=Shaping(least=0.5, most=2.0)).keep(
        tokens, step=0, mini_batch=0, reducer=LocalReducer()
    )
    assert keep_M.all()
    assert figures == {"kept": 4.0, "dropped": 0.0}
    factors_M = evidence(shaping=Shaping(least=0.5, most=2.0)).advantage_factors(tokens, reducer=LocalReducer())
    assert factors_M.tolist() == [1.0] * 4


def test_the_whole_share_keeps_all() -> None:
    tokens = tokens_of([0.1, 0.2, 0.3], trajectory=[0, 0, 0], after=[True] * 3)
    assert evidence(top=1.0).keep(tokens, step=0, mini_batch=0, reducer=LocalReducer())[0].all()


def test_equal_values_keep_the_earlier() -> None:
    chosen = top_of_each(torch.zeros(5), torch.tensor([0, 0, 0, 0, 1]), among_M=torch.tensor([True] * 5), share=0.5)
    assert chosen.tolist() == [True, True, False, False, True]


@pytest.mark.parametrize(("share", "count"), [(0.55, 55), (0.07, 7), (0.071, 8)])
def test_a_share_is_rounded_up_but_not_for_the_rounding_of_its_product(share: float, count: int) -> None:
    """In floating point 100 * 0.55 and 100 * 0.07 are a little above 55 and 7."""
    chosen = top_of_each(
        torch.zeros(100), torch.zeros(100, dtype=torch.long), among_M=torch.ones(100, dtype=torch.bool), share=share
    )
    assert chosen.sum() == count


def test_shaped_advantages_follow_the_mean_dependency_and_have_the_mean_one() -> None:
    d = [0.5, 0.1, 0.0, 1.0, 1.0, 0.0]
    tokens = tokens_of(d, trajectory=[0, 0, 0, 1, 1, 2], after=[True, True, False, True, True, False])
    means = [(dependency(0.5) + dependency(0.1)) / 2, dependency(1.0)]
    mean = sum(means) / 2
    factors = [means[0] / mean, means[1] / mean]
    loose = evidence(shaping=Shaping(least=0.0, most=9.0)).advantage_factors(tokens, reducer=LocalReducer())
    assert loose.tolist() == pytest.approx([factors[0]] * 3 + [factors[1]] * 2 + [1.0], rel=1e-5)
    bounded = evidence(shaping=Shaping(least=0.5, most=1.2)).advantage_factors(tokens, reducer=LocalReducer())
    # 0.1935 and 1.8065 become 0.5 and 1.2, whose mean of 0.85 becomes 1
    assert bounded.tolist() == pytest.approx([0.5 / 0.85] * 3 + [1.2 / 0.85] * 2 + [1.0], rel=1e-5)
    plain = evidence().advantage_factors(tokens, reducer=LocalReducer())
    assert plain.tolist() == [1.0] * 6


@pytest.mark.parametrize("cuts", [(0, 60), (0, 20, 60), (0, 30, 30, 60)], ids=["one", "two", "one of three empty"])
def test_any_number_of_processes_chooses_alike(cuts: tuple[int, ...], on_ranks) -> None:
    g = torch.Generator().manual_seed(0)
    d = torch.randn(60, generator=g)
    trajectory = [n // 10 for n in range(60)]
    tokens = tokens_of(d.tolist(), trajectory=trajectory, after=[n % 10 > 3 and n // 10 != 2 for n in range(60)])
    shaped = evidence(shaping=Shaping(least=0.5, most=2.0))
    whole, figures = shaped.keep(tokens, step=0, mini_batch=0, reducer=LocalReducer())
    factors: Tensor = shaped.advantage_factors(tokens, reducer=LocalReducer())
    shares = [tokens.at(slice(a, b)) for a, b in pairwise(cuts)]

    def work(rank, reducer):
        found = shaped.keep(shares[rank], step=0, mini_batch=0, reducer=reducer)
        return *found, shaped.advantage_factors(shares[rank], reducer=reducer)

    found = on_ranks(len(shares), work)
    assert torch.equal(torch.cat([keep for keep, _, _ in found]), whole)
    assert all(other == pytest.approx(figures) for _, other, _ in found)
    torch.testing.assert_close(torch.cat([factor for _, _, factor in found]), factors)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"filters\.evidence\.view='fog'"):
        EvidenceFilter(view="fog", top=0.4, most_nats=1.0, shaping=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"filters\.evidence\.top=0"):
        EvidenceFilter(view=VIEW, top=0.0, most_nats=1.0, shaping=None)
    with pytest.raises(ConfigError, match=r"filters\.evidence\.most_nats=0"):
        EvidenceFilter(view=VIEW, top=0.4, most_nats=0.0, shaping=None)
    with pytest.raises(ConfigError, match=r"filters\.evidence\.shaping\.least=1\.5"):
        Shaping(least=1.5, most=2.0)
    with pytest.raises(ConfigError, match=r"filters\.evidence\.shaping\.most=0\.7 must be 1 or more"):
        Shaping(least=0.5, most=0.7)

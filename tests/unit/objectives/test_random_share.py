"""The control of Evidence Gradient Filtering: as many tokens of each response, drawn by chance."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.filters.evidence import EvidenceFilter
from zoom_iqa.objectives.filters.random_share import RandomShare
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import hidden_mark
from zoom_iqa.parallel.reducer import LocalReducer

LENGTHS = (5, 12, 1, 30)


def tokens() -> TokenBatch:
    """Of each response the first third comes before a look, of the second one all."""
    after = [number >= length // 3 and index != 1 for index, length in enumerate(LENGTHS) for number in range(length)]
    n = sum(LENGTHS)
    old_M = torch.full((n,), -1.0)
    return TokenBatch(
        trajectory_M=torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS)),
        advantages_M=torch.ones(n),
        weights_M=torch.full((n,), 1 / n),
        marks={hidden_mark(view): torch.tensor(after) for view in ("no_crop", "coarse_crop")},
        signals={"old": old_M, "old/coarse_crop": old_M + torch.linspace(0, 1, n)},
    )


def kept(filtered: RandomShare, *, step: int = 0, mini_batch: int = 0) -> torch.Tensor:
    return filtered.keep(tokens(), step=step, mini_batch=mini_batch, reducer=LocalReducer())[0]


def test_it_keeps_as_many_tokens_of_each_response_as_the_filter_it_controls() -> None:
    batch = tokens()
    keep_M, figures = RandomShare(top=0.4, seed=0).keep(batch, step=0, mini_batch=0, reducer=LocalReducer())
    chosen_M, _ = EvidenceFilter(view="coarse_crop", top=0.4, most_nats=10.0, shaping=None).keep(
        batch, step=0, mini_batch=0, reducer=LocalReducer()
    )
    counts = [torch.bincount(batch.trajectory_M[mask], minlength=4).tolist() for mask in (keep_M, chosen_M)]
    # before a look 1, 12, 0 and 10; after it 0.4 of 4, 0, 1 and 20, rounded up
    assert counts == [[1 + 2, 12, 1, 10 + 8]] * 2
    assert figures == {"kept": 34.0, "dropped": 14.0}
    assert keep_M[~batch.mark(hidden_mark("no_crop"))].all()
    assert not torch.equal(keep_M, chosen_M)


def test_it_forwards_nothing() -> None:
    assert not RandomShare(top=0.4, seed=0).signals


def test_draws_differ_between_steps_and_seeds_and_repeat_themselves() -> None:
    filtered = RandomShare(top=0.4, seed=0)
    assert torch.equal(kept(filtered), kept(filtered))
    others = [kept(filtered, step=1), kept(filtered, mini_batch=1), kept(RandomShare(top=0.4, seed=1))]
    assert not any(torch.equal(kept(filtered), other) for other in others)


def test_every_token_is_drawn_alike() -> None:
    """Of the last response's 20 tokens after a look 8 are kept: 400 draws, a standard deviation of 9.8 a token."""
    draws = torch.stack([kept(RandomShare(top=0.4, seed=0), step=step) for step in range(400)]).sum(0)
    assert ((draws[-20:] - 160).abs() < 50).all()


@pytest.mark.parametrize("cuts", [(0, 48), (0, 17, 48), (0, 18, 18, 48)], ids=["one", "two", "one of three empty"])
def test_any_number_of_processes_draws_alike(cuts: tuple[int, ...], on_ranks) -> None:
    batch, filtered = tokens(), RandomShare(top=0.4, seed=3)
    whole, figures = filtered.keep(batch, step=2, mini_batch=0, reducer=LocalReducer())
    shares = [batch.at(slice(a, b)) for a, b in pairwise(cuts)]
    found = on_ranks(
        len(shares), lambda rank, reducer: filtered.keep(shares[rank], step=2, mini_batch=0, reducer=reducer)
    )
    assert torch.equal(torch.cat([keep for keep, _ in found]), whole)
    assert all(other == figures for _, other in found)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"filters\.random_share\.top=1\.2"):
        RandomShare(top=1.2, seed=0)

"""Clip-Cov: which tokens it drops, how it draws, and that any number of processes drops the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from support.token_batches import covariance_by_loops, random_tokens, token_batch
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.parallel.reducer import LocalReducer


def kept(clip_cov: ClipCov, tokens, *, step=0, mini_batch=0):
    return clip_cov.keep(tokens, step=step, mini_batch=mini_batch, reducer=LocalReducer())


def test_tokens_are_dropped_within_the_band():
    tokens = random_tokens()
    keep, figures = kept(ClipCov(fraction=0.05, low=0.2, high=1.0, seed=0), tokens)
    cov = torch.tensor(covariance_by_loops(tokens))
    band = (cov >= 0.2) & (cov <= 1.0)
    assert int((~keep).sum()) == figures["selected"] == 10
    assert band[~keep].all()
    assert figures["candidates"] == int(band.sum())
    assert figures["selected_covariance"] == pytest.approx(cov[~keep].mean().item())


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.0, 1.0)])
def test_the_ends_of_the_band_are_in_it(low, high):
    """Log-probabilities and advantages one from their means on the same side: a covariance of 1."""
    tokens = token_batch([0.0, -2.0], [1.0, -1.0])
    assert kept(ClipCov(fraction=0.5, low=low, high=high, seed=0), tokens)[1]["candidates"] == 2


def test_the_draw_depends_on_seed_rollout_and_mini_batch_only():
    tokens = random_tokens()

    def draw(seed, step, mini_batch):
        clip_cov = ClipCov(fraction=0.05, low=0.0, high=5.0, seed=seed)
        return kept(clip_cov, tokens, step=step, mini_batch=mini_batch)[0]

    assert torch.equal(draw(1, 4, 0), draw(1, 4, 0))
    for other in ((1, 5, 0), (2, 4, 0), (1, 4, 1)):
        assert not torch.equal(draw(1, 4, 0), draw(*other))
    assert not torch.equal(draw(1, 4, 1), draw(1, 5, 0))  # the second part of a rollout is not the first of the next


def test_the_draw_is_even_over_candidates():
    tokens = random_tokens(n_tokens=40)
    clip_cov = ClipCov(fraction=0.1, low=-100.0, high=100.0, seed=0)
    hits = sum((~kept(clip_cov, tokens, step=s, mini_batch=p)[0]).long() for s in range(250) for p in (0, 1))
    # 500 draws of 4 from 40: 50 each, standard deviation 6.7
    assert hits.sum() == 2000
    assert 20 < hits.min() <= hits.max() < 80


def test_an_empty_band_drops_nothing():
    keep, figures = kept(ClipCov(fraction=0.1, low=50.0, high=60.0, seed=0), random_tokens())
    assert keep.all()
    assert figures == {"candidates": 0.0, "selected": 0.0}


@pytest.mark.parametrize("cuts", [(0, 200), (0, 70, 200), (0, 120, 120, 200)], ids=["one", "two", "one of three empty"])
def test_the_choice_does_not_depend_on_the_number_of_processes(cuts, on_ranks):
    tokens, clip_cov = random_tokens(), ClipCov(fraction=0.1, low=0.0, high=5.0, seed=3)
    whole, figures = kept(clip_cov, tokens, step=5)
    shares = [tokens.at(slice(a, b)) for a, b in pairwise(cuts)]
    found = on_ranks(
        len(shares), lambda rank, reducer: clip_cov.keep(shares[rank], step=5, mini_batch=0, reducer=reducer)
    )
    assert torch.equal(torch.cat([keep for keep, _ in found]), whole)
    assert all(other == figures for _, other in found)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"filters\.clip_cov\.low=2"):
        ClipCov(fraction=0.1, low=2.0, high=1.0, seed=0)
    with pytest.raises(ConfigError, match=r"filters\.clip_cov\.fraction=0"):
        ClipCov(fraction=0.0, low=0.0, high=1.0, seed=0)

"""Drawn tokens follow the distribution, whatever is beside them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import TopKLogitsWarper, TopPLogitsWarper

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.sampler import Sampler, invert_cdf, truncate, uniform_draws
from zoom_iqa.policy.policy import Policy


def params(**changes: object) -> SamplingParams:
    values = {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "greedy": False,
        "max_new_tokens": 8,
        "stop_strings": (),
        **changes,
    }
    return SamplingParams(**values)  # type: ignore[arg-type]


def test_frequencies_match_the_softmax_over_many_seeds() -> None:
    p = torch.tensor([0.4, 0.0, 0.25, 0.2, 0.1, 0.05])
    draws = torch.cat([uniform_draws(seed, 4) for seed in range(5000)])
    counts = invert_cdf(p.expand(len(draws), -1), draws).bincount(minlength=6)
    assert counts[1] == 0
    kept = p > 0
    assert chisquare(counts[kept].numpy(), (p[kept] * len(draws)).double().numpy()).pvalue > 0.01


def test_policy_frequencies_match_its_softmax(random_policy: Policy) -> None:
    hidden = torch.randn(64, generator=torch.Generator().manual_seed(3)) * 0.6
    sampler, way = Sampler(random_policy), params(temperature=0.9)
    draws = uniform_draws(11, 20000)
    drawn = sampler(hidden.expand(len(draws), -1), draws, way)
    logits = random_policy.model.lm_head(hidden).detach() / 0.9
    logits[list(random_policy.banned_ids)] = -torch.inf
    expected = logits.double().softmax(-1) * len(draws)
    counts = drawn.token_R.bincount(minlength=len(logits))
    common = expected >= 5
    wanted = expected[common] / expected[common].sum() * counts[common].sum()
    assert chisquare(counts[common].double(), wanted).pvalue > 0.01
    torch.testing.assert_close(drawn.logp_R, logits.log_softmax(-1)[drawn.token_R], rtol=1e-5, atol=1e-5)
    assert counts[list(random_policy.banned_ids)].sum() == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-6, 0.1, 0.5, 1.0]), min_size=1, max_size=9).filter(any), st.floats(0, 1))
def test_no_token_of_probability_zero_is_ever_drawn(weights: list[float], uniform: float) -> None:
    p = torch.tensor([weights]) / torch.tensor([weights]).sum()
    draw = torch.tensor([uniform]).clamp(max=float(torch.tensor(1 - 2.0**-20)))
    token = int(invert_cdf(p, draw))
    assert token < len(weights)
    assert p[0, token] > 0


def test_a_row_draws_the_same_beside_any_others(random_policy: Policy) -> None:
    hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    draws = uniform_draws(0, 5)
    sampler, way = Sampler(random_policy), params()
    together = sampler(hidden, draws, way).token_R
    alone = torch.cat([sampler(hidden[i : i + 1], draws[i : i + 1], way).token_R for i in range(5)])
    assert together.tolist() == alone.tolist()


@pytest.mark.parametrize(("top_k", "top_p"), [(5, 1.0), (0, 0.8), (5, 0.6), (100, 0.3), (1, 1.0)])
def test_truncation_keeps_what_transformers_keeps(top_k: int, top_p: float) -> None:
    logits = torch.randn(7, 20, generator=torch.Generator().manual_seed(1)) * 2
    expected = logits
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    p, ids = truncate(logits, top_k=top_k, top_p=top_p)
    found = torch.zeros(7, 20).scatter(1, ids, p)
    torch.testing.assert_close(found, expected.softmax(-1))


def test_candidates_whose_mass_is_top_p_exactly_are_enough() -> None:
    p, _ = truncate(torch.zeros(1, 4), top_k=0, top_p=0.5)  # 1/4 each
    assert p.tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_truncated_draws_report_the_truncated_distribution(random_policy: Policy) -> None:
    hidden = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    drawn = Sampler(random_policy)(hidden, uniform_draws(0, 3), params(top_k=1))
    greedy = Sampler(random_policy)(hidden, uniform_draws(0, 3), params(greedy=True))
    assert drawn.token_R.tolist() == greedy.token_R.tolist()
    assert drawn.logp_R.tolist() == [0.0] * 3
    assert drawn.entropy_R.tolist() == [0.0] * 3
    assert (greedy.entropy_R > 0).all()


def test_rows_beside_one_that_is_not_finite_are_drawn_as_ever() -> None:
    p = torch.tensor([[0.25, 0.75], [torch.nan, torch.nan], [0.5, 0.5]])
    assert invert_cdf(p, torch.tensor([0.3, 0.1, 0.7])).tolist() == [1, 1, 1]
    assert invert_cdf(p, torch.tensor([0.2, 0.9, 0.4])).tolist() == [0, 1, 0]

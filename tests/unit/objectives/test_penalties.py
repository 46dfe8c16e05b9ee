"""Each penalty's choice of tokens, its value by formula, and what it asks for."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from support.token_batches import covariance_by_loops, random_tokens, token_batch
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.divergence import exact_kl, k3, sampled_kl_to_anchor
from zoom_iqa.objectives.penalties.base import PenaltyInputs
from zoom_iqa.objectives.penalties.entropy_bonus import EntropyBonus
from zoom_iqa.objectives.penalties.kl_at_answer_digits import KLCoverage
from zoom_iqa.objectives.penalties.kl_at_covariant_tokens import KLCov
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.schedules import Linear
from zoom_iqa.objectives.signals import Signal
from zoom_iqa.parallel.reducer import LocalReducer

LOCAL = LocalReducer()


def coverage(anchor="reference", divergence="sampled", fraction=0.02, beta=0.04):
    return KLCoverage(beta=beta, fraction=fraction, digits="answer", anchor=anchor, divergence=divergence)


def planned(penalty, tokens, *, step=0):
    return penalty.plan(tokens, step=step, mini_batch=0, reducer=LOCAL)


def loss_of(penalty, plan, logp, tokens, *, reference=None, **extra):
    signals = dict(tokens.signals) if reference is None else {**tokens.signals, "reference": reference}
    return penalty.loss(PenaltyInputs(coefficient_U=plan.coefficient_M, logp_U=logp, signals=signals, **extra))


@pytest.mark.parametrize("fraction", [0.02, 0.2])
def test_coverage_selects_the_most_covariant_numeric_tokens(fraction):
    tokens = random_tokens()
    plan = planned(coverage(fraction=fraction), tokens)
    cov = covariance_by_loops(tokens)
    candidates = [i for i in range(200) if tokens.mark("numbers")[i]]
    count = max(1, math.floor(fraction * len(candidates)))
    expected = sorted(sorted(candidates, key=lambda i: -cov[i])[:count])
    assert plan.selected_M.nonzero().squeeze(1).tolist() == expected
    assert plan.coefficient_M[plan.selected_M].tolist() == pytest.approx([0.04 / count] * count)
    assert plan.figures["candidates"] == len(candidates)
    assert plan.figures["selected"] == count
    assert plan.figures["selected_covariance"] == pytest.approx(sum(cov[i] for i in expected) / count)


def test_coverage_may_select_where_ratings_are_decided():
    """The same choice among other candidates."""
    tokens = random_tokens()
    decided_M = tokens.mark("numbers").roll(7)
    marked = replace(tokens, marks={**tokens.marks, "decided": decided_M})
    penalty = KLCoverage(beta=0.04, fraction=0.2, digits="decided", anchor="reference", divergence="sampled")
    cov = covariance_by_loops(tokens)
    candidates = [i for i in range(200) if decided_M[i]]
    count = math.floor(0.2 * len(candidates))
    assert count > 1
    expected = sorted(sorted(candidates, key=lambda i: -cov[i])[:count])
    assert planned(penalty, marked).selected_M.nonzero().squeeze(1).tolist() == expected


def test_coverage_means_are_over_all_tokens_not_only_numeric_ones():
    tokens = random_tokens(seed=3)
    logp, numeric = tokens.signal("sampled"), tokens.mark("numbers")
    moved = token_batch(torch.where(numeric, logp, logp - 20), tokens.advantages_M, numeric=numeric)
    first, second = (planned(coverage(), t).selected_M for t in (tokens, moved))
    assert not torch.equal(first, second)


def test_coverage_without_numeric_tokens_selects_nothing_and_still_backpropagates():
    tokens = random_tokens(numeric_share=0.0)
    plan = planned(coverage(), tokens)
    logp = tokens.signal("old").clone().requires_grad_()
    loss, _ = loss_of(coverage(), plan, logp, tokens, reference=tokens.signal("old"))
    loss.backward()
    assert loss.item() == 0.0
    assert logp.grad.abs().max() == 0.0


@pytest.mark.parametrize(
    "penalty",
    [
        coverage(fraction=0.2),
        KLCov(beta=1.0, fraction=0.05),
        KLReference(beta=0.1),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
@pytest.mark.parametrize("cuts", [(0, 200), (0, 70, 200), (0, 120, 120, 200)], ids=["one", "two", "one of three empty"])
def test_plan_does_not_depend_on_the_number_of_processes(penalty, cuts, on_ranks):
    tokens = random_tokens()
    whole = planned(penalty, tokens, step=5)
    shares = [tokens.at(slice(a, b)) for a, b in pairwise(cuts)]
    plans = on_ranks(
        len(shares), lambda rank, reducer: penalty.plan(shares[rank], step=5, mini_batch=0, reducer=reducer)
    )
    assert torch.equal(torch.cat([p.coefficient_M for p in plans]), whole.coefficient_M)
    assert all(p.figures == whole.figures for p in plans)


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_sampled_penalty_is_the_mean_over_selected(anchor):
    tokens, penalty = random_tokens(), coverage(anchor=anchor, fraction=0.1)
    plan = planned(penalty, tokens)
    logp, reference = tokens.signal("old") - 0.3, tokens.signal("old") + 0.1
    loss, measures = loss_of(penalty, plan, logp, tokens, reference=reference)
    at = tokens.signal("old") if anchor == "old" else reference
    kl = sampled_kl_to_anchor(logp, at, tokens.signal("old"))[plan.selected_M]
    assert loss.item() == pytest.approx(0.04 * kl.mean().item(), rel=1e-5)
    assert (measures["kl"].total / measures["kl"].weight).item() == pytest.approx(kl.mean().item())


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_exact_penalty_is_the_mean_over_selected(anchor):
    tokens, penalty = random_tokens(), coverage(anchor=anchor, divergence="exact", fraction=0.1)
    plan = planned(penalty, tokens)
    n_selected = int(plan.selected_M.sum())
    g = torch.Generator().manual_seed(1)
    anchor_dist = torch.randn(n_selected, 11, generator=g).log_softmax(-1)
    log_dist = torch.randn(n_selected, 11, generator=g).log_softmax(-1)
    loss, _ = loss_of(
        penalty, plan, tokens.signal("old"), tokens, distributions={anchor: anchor_dist}, log_dist_SV=log_dist
    )
    assert loss.item() == pytest.approx(0.04 * exact_kl(anchor_dist, log_dist).mean().item(), rel=1e-5)


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_vanishes_with_its_gradient_where_the_policy_equals_its_anchor(anchor):
    tokens = random_tokens()
    sampled = coverage(anchor=anchor)
    plan = planned(sampled, tokens)
    logp = tokens.signal("old").clone().requires_grad_()
    loss, _ = loss_of(sampled, plan, logp, tokens, reference=tokens.signal("old"))
    loss.backward()
    assert loss.item() == 0.0
    assert logp.grad.abs().max() == 0.0

    logits = torch.randn(int(plan.selected_M.sum()), 50, dtype=torch.float64, requires_grad=True)
    log_dist = logits.log_softmax(-1)
    exact = coverage(anchor=anchor, divergence="exact")
    loss, _ = loss_of(
        exact, plan, tokens.signal("old"), tokens, distributions={anchor: log_dist.detach()}, log_dist_SV=log_dist
    )
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().max() < 1e-16


def test_coverage_pulls_towards_its_anchor():
    tokens, penalty = random_tokens(), coverage(anchor="old", beta=1.0)
    plan = planned(penalty, tokens)
    logp = (tokens.signal("old") + 0.5).requires_grad_()
    loss_of(penalty, plan, logp, tokens)[0].backward()
    assert (logp.grad[plan.selected_M] > 0).all()
    assert logp.grad[~plan.selected_M].abs().max() == 0.0


@pytest.mark.parametrize(
    ("anchor", "divergence", "signals"),
    [
        ("old", "sampled", set()),
        ("old", "exact", {Signal("policy", tokens="selected", distributions=True)}),
        ("reference", "sampled", {Signal("reference", tokens="selected")}),
        ("reference", "exact", {Signal("reference", tokens="selected", distributions=True)}),
    ],
)
def test_coverage_says_what_it_reads(anchor, divergence, signals):
    assert coverage(anchor=anchor, divergence=divergence).signals == signals


@pytest.mark.parametrize("penalty", [coverage(anchor="old"), KLCov(beta=1.0, fraction=0.01)])
def test_inert_setting_is_refused(penalty):
    with pytest.raises(ConfigError, match=r"one update per rollout .* exactly zero"):
        penalty.check(updates_per_rollout=1)
    penalty.check(updates_per_rollout=2)


def test_other_penalties_accept_a_single_update():
    for penalty in (
        coverage(anchor="reference"),
        KLReference(beta=0.1),
        EntropyBonus(coefficient=0.1),
    ):
        penalty.check(updates_per_rollout=1)


def test_missing_input_is_named():
    tokens, penalty = random_tokens(), KLReference(beta=0.1)
    plan = planned(penalty, tokens)
    with pytest.raises(ValueError, match=r"signals\['reference'\] is missing"):
        loss_of(penalty, plan, tokens.signal("old"), tokens)


def test_kl_reference_by_formula():
    tokens = random_tokens()
    penalty = KLReference(beta=Linear(start=0.0, end=1.0, steps=4))
    plan = planned(penalty, tokens, step=2)
    reference = tokens.signal("old") - 0.2
    loss, _ = loss_of(penalty, plan, tokens.signal("old"), tokens, reference=reference)
    assert loss.item() == pytest.approx(0.5 * k3(tokens.signal("old"), reference).mean().item(), rel=1e-5)


def test_kl_cov_takes_the_top_of_all_tokens_and_keeps_the_loss_weights():
    tokens, penalty = random_tokens(), KLCov(beta=2.0, fraction=0.05)
    plan = planned(penalty, tokens)
    cov = covariance_by_loops(tokens)
    expected = sorted(sorted(range(200), key=lambda i: -cov[i])[:10])
    assert plan.selected_M.nonzero().squeeze(1).tolist() == expected
    logp = tokens.signal("old") - 0.4
    loss, _ = loss_of(penalty, plan, logp, tokens)
    # every selected token: w - 1 - log w at w = exp(-0.4), each of weight 1/200
    assert loss.item() == pytest.approx(2.0 * 10 / 200 * (math.exp(-0.4) - 1 + 0.4), rel=1e-4)


def test_entropy_bonus_by_formula():
    tokens, penalty = random_tokens(), EntropyBonus(coefficient=0.01)
    plan = planned(penalty, tokens)
    entropy = torch.linspace(0, 2, 200).requires_grad_()
    loss, _ = loss_of(penalty, plan, tokens.signal("old"), tokens, entropy_U=entropy)
    loss.backward()
    assert loss.item() == pytest.approx(-0.01)
    assert entropy.grad.tolist() == pytest.approx([-0.01 / 200] * 200)


@pytest.mark.parametrize(
    "penalty",
    [
        KLCov(beta=Linear(start=1.0, end=0.0, steps=4), fraction=1.0),
        EntropyBonus(coefficient=Linear(start=1.0, end=0.0, steps=4)),
        coverage(fraction=1.0, beta=Linear(start=1.0, end=0.0, steps=4)),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_a_scheduled_coefficient_is_that_of_the_step(penalty):
    tokens = token_batch([-1.0, -2.0, -1.0, -3.0], [1.0, -1.0, 2.0, 0.0], numeric=[True] * 4)
    assert planned(penalty, tokens, step=2).coefficient_M.tolist() == [0.5 * 0.25] * 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: coverage(anchor="oldest"),
        lambda: coverage(divergence="approximate"),
        lambda: coverage(fraction=0.0),
        lambda: coverage(fraction=1.5),
        lambda: coverage(beta=math.nan),
        lambda: coverage(beta=-0.04),
        lambda: KLReference(beta=-0.04),
        lambda: KLCov(beta=-1.0, fraction=0.1),
        lambda: KLCov(beta=Linear(start=1.0, end=-1.0, steps=4), fraction=0.1),
        lambda: KLCov(beta=1.0, fraction=2.0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ConfigError, match=r"penalties\.k"):
        make()

import math
from itertools import pairwise

import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.divergence import exact_kl, k3, sampled_kl_to_anchor
from zoom_iqa.objectives.regularizers.base import PenaltyInputs, RegularizerPlan, TokenBatch
from zoom_iqa.objectives.regularizers.clip_cov import ClipCov
from zoom_iqa.objectives.regularizers.entropy_bonus import EntropyBonus
from zoom_iqa.objectives.regularizers.kl_cov import KLCov
from zoom_iqa.objectives.regularizers.kl_coverage import KLCoverage
from zoom_iqa.objectives.regularizers.kl_reference import KLReference
from zoom_iqa.objectives.regularizers.none import NoRegularizer
from zoom_iqa.objectives.schedules import Linear
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, top_mask
from zoom_iqa.parallel.reducer import LocalReducer

LOCAL = LocalReducer()


def batch(n_tokens=200, seed=0, numeric_share=0.3):
    g = torch.Generator().manual_seed(seed)
    return TokenBatch(
        old_logp_T=-torch.rand(n_tokens, generator=g) * 3,
        advantages_T=torch.randn(n_tokens, generator=g),
        weights_T=torch.full((n_tokens,), 1 / n_tokens),
        numeric_T=torch.rand(n_tokens, generator=g) < numeric_share,
    )


def coverage(anchor="reference", divergence="sampled", fraction=0.02, beta=0.04):
    return KLCoverage(beta=beta, fraction=fraction, anchor=anchor, divergence=divergence)


def covariance_by_loops(tokens):
    logp, advantages = tokens.old_logp_T.double().tolist(), tokens.advantages_T.double().tolist()
    mean_logp, mean_advantage = math.fsum(logp) / len(logp), math.fsum(advantages) / len(advantages)
    return [(lp - mean_logp) * (a - mean_advantage) for lp, a in zip(logp, advantages, strict=True)]


def test_covariance_by_hand():
    # means: log p -2, advantage 0
    tokens = TokenBatch(
        old_logp_T=torch.tensor([-1.0, -2.0, -3.0]),
        advantages_T=torch.tensor([1.0, 1.0, -2.0]),
        weights_T=torch.ones(3),
        numeric_T=torch.tensor([True, False, True]),
    )
    gathered = gathered_covariance(tokens, reducer=LOCAL)
    assert gathered.cov_N.tolist() == [1.0, 0.0, 2.0]
    assert gathered.numeric_N.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("fraction", "n", "expected"),
    [(0.02, 1, 1), (0.02, 99, 1), (0.02, 100, 2), (0.02, 0, 1), (0.29, 100, 29), (1, 7, 7)],
)
def test_count_is_rounded_down_but_at_least_one(fraction, n, expected):
    assert count_of(fraction, n) == expected


def test_top_mask_breaks_ties_by_position():
    mask = top_mask(torch.tensor([1.0, 3.0, 3.0, 3.0]), torch.tensor([True, True, False, True]), count=1)
    assert mask.tolist() == [False, True, False, False]


@pytest.mark.parametrize("fraction", [0.02, 0.2])
def test_coverage_selects_the_most_covariant_numeric_tokens(fraction):
    tokens = batch()
    plan = coverage(fraction=fraction).plan(tokens, step=0, reducer=LOCAL)
    cov = covariance_by_loops(tokens)
    candidates = [i for i in range(200) if tokens.numeric_T[i]]
    count = max(1, math.floor(fraction * len(candidates)))
    expected = sorted(sorted(candidates, key=lambda i: -cov[i])[:count])
    assert plan.selected.nonzero().squeeze(1).tolist() == expected
    assert plan.coefficient_T[plan.selected].tolist() == pytest.approx([0.04 / count] * count)
    assert plan.figures["kl_coverage/candidates"] == len(candidates)
    assert plan.figures["kl_coverage/selected"] == count
    assert plan.figures["kl_coverage/selected_covariance"] == pytest.approx(sum(cov[i] for i in expected) / count)
    assert not plan.detached_T.any()


def test_coverage_means_are_over_all_tokens_not_only_numeric_ones():
    tokens = batch(seed=3)
    moved = TokenBatch(
        old_logp_T=torch.where(tokens.numeric_T, tokens.old_logp_T, tokens.old_logp_T - 20),
        advantages_T=tokens.advantages_T,
        weights_T=tokens.weights_T,
        numeric_T=tokens.numeric_T,
    )
    first, second = (coverage().plan(t, step=0, reducer=LOCAL).selected for t in (tokens, moved))
    assert not torch.equal(first, second)


def test_coverage_without_numeric_tokens_selects_nothing_and_still_backpropagates():
    tokens = batch(numeric_share=0.0)
    plan = coverage().plan(tokens, step=0, reducer=LOCAL)
    logp = tokens.old_logp_T.clone().requires_grad_()
    inputs = PenaltyInputs(plan=plan, logp_T=logp, old_logp_T=tokens.old_logp_T, reference_logp_T=tokens.old_logp_T)
    loss, _ = coverage().penalty(inputs)
    loss.backward()
    assert loss.item() == 0.0
    assert logp.grad.abs().max() == 0.0


def selection_on_ranks(regularizer, tokens, cuts, on_ranks):
    shares = [
        TokenBatch(**{name: getattr(tokens, name)[a:b] for name in tokens.__dataclass_fields__})
        for a, b in pairwise(cuts)
    ]
    return on_ranks(len(shares), lambda rank, reducer: regularizer.plan(shares[rank], step=5, reducer=reducer))


@pytest.mark.parametrize(
    "regularizer",
    [
        coverage(fraction=0.2),
        KLCov(beta=1.0, fraction=0.05),
        ClipCov(fraction=0.1, low=0.0, high=5.0, seed=3),
        KLReference(beta=0.1),
    ],
    ids=lambda r: type(r).__name__,
)
@pytest.mark.parametrize("cuts", [(0, 200), (0, 70, 200), (0, 120, 120, 200)], ids=["one", "two", "one of three empty"])
def test_plan_does_not_depend_on_the_number_of_processes(regularizer, cuts, on_ranks):
    tokens = batch()
    whole = regularizer.plan(tokens, step=5, reducer=LOCAL)
    plans = selection_on_ranks(regularizer, tokens, cuts, on_ranks)
    assert torch.equal(torch.cat([p.coefficient_T for p in plans]), whole.coefficient_T)
    assert torch.equal(torch.cat([p.detached_T for p in plans]), whole.detached_T)
    assert all(p.figures == whole.figures for p in plans)


def penalty_of(regularizer, plan, logp, tokens, **extra):
    return regularizer.penalty(PenaltyInputs(plan=plan, logp_T=logp, old_logp_T=tokens.old_logp_T, **extra))


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_sampled_penalty_is_the_mean_over_selected(anchor):
    tokens, regularizer = batch(), coverage(anchor=anchor, fraction=0.1)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    logp, reference = tokens.old_logp_T - 0.3, tokens.old_logp_T + 0.1
    loss, measures = penalty_of(regularizer, plan, logp, tokens, reference_logp_T=reference)
    at = tokens.old_logp_T if anchor == "old" else reference
    kl = sampled_kl_to_anchor(logp, at, tokens.old_logp_T)[plan.selected]
    assert loss.item() == pytest.approx(0.04 * kl.mean().item(), rel=1e-5)
    assert (measures["kl_coverage/kl"].total / measures["kl_coverage/kl"].weight).item() == pytest.approx(
        kl.mean().item()
    )


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_exact_penalty_is_the_mean_over_selected(anchor):
    tokens, regularizer = batch(), coverage(anchor=anchor, divergence="exact", fraction=0.1)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    n_selected = int(plan.selected.sum())
    g = torch.Generator().manual_seed(1)
    anchor_dist = torch.randn(n_selected, 11, generator=g).log_softmax(-1)
    log_dist = torch.randn(n_selected, 11, generator=g).log_softmax(-1)
    loss, _ = penalty_of(
        regularizer, plan, tokens.old_logp_T, tokens, anchor_log_dist_SV=anchor_dist, log_dist_SV=log_dist
    )
    assert loss.item() == pytest.approx(0.04 * exact_kl(anchor_dist, log_dist).mean().item(), rel=1e-5)


@pytest.mark.parametrize("anchor", ["old", "reference"])
def test_coverage_vanishes_with_its_gradient_where_the_policy_equals_its_anchor(anchor):
    tokens = batch()
    sampled = coverage(anchor=anchor)
    plan = sampled.plan(tokens, step=0, reducer=LOCAL)
    logp = tokens.old_logp_T.clone().requires_grad_()
    loss, _ = penalty_of(sampled, plan, logp, tokens, reference_logp_T=tokens.old_logp_T)
    loss.backward()
    assert loss.item() == 0.0
    assert logp.grad.abs().max() == 0.0

    logits = torch.randn(int(plan.selected.sum()), 50, dtype=torch.float64, requires_grad=True)
    log_dist = logits.log_softmax(-1)
    exact = coverage(anchor=anchor, divergence="exact")
    loss, _ = penalty_of(
        exact, plan, tokens.old_logp_T, tokens, anchor_log_dist_SV=log_dist.detach(), log_dist_SV=log_dist
    )
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().max() < 1e-16


def test_coverage_pulls_towards_its_anchor():
    tokens, regularizer = batch(), coverage(anchor="old", beta=1.0)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    logp = (tokens.old_logp_T + 0.5).requires_grad_()
    penalty_of(regularizer, plan, logp, tokens)[0].backward()
    assert (logp.grad[plan.selected] > 0).all()
    assert logp.grad[~plan.selected].abs().max() == 0.0


@pytest.mark.parametrize(
    ("anchor", "divergence", "needs"),
    [
        ("old", "sampled", set()),
        ("old", "exact", {"old_distribution"}),
        ("reference", "sampled", {"reference_logp"}),
        ("reference", "exact", {"reference_distribution"}),
    ],
)
def test_coverage_says_what_it_needs(anchor, divergence, needs):
    assert coverage(anchor=anchor, divergence=divergence).needs == needs


@pytest.mark.parametrize("regularizer", [coverage(anchor="old"), KLCov(beta=1.0, fraction=0.01)])
def test_inert_setting_is_refused(regularizer):
    with pytest.raises(ConfigError, match=r"updates_per_rollout=1 .* exactly zero"):
        regularizer.check(updates_per_rollout=1)
    regularizer.check(updates_per_rollout=2)


def test_other_regularizers_accept_a_single_update():
    for regularizer in (
        coverage(anchor="reference"),
        ClipCov(fraction=0.1, low=0.0, high=1.0, seed=0),
        KLReference(beta=0.1),
        EntropyBonus(coefficient=0.1),
        NoRegularizer(),
    ):
        regularizer.check(updates_per_rollout=1)


def test_missing_input_is_named():
    tokens, regularizer = batch(), KLReference(beta=0.1)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    with pytest.raises(ValueError, match="reference_logp_T is missing"):
        penalty_of(regularizer, plan, tokens.old_logp_T, tokens)


def test_kl_reference_by_formula():
    tokens = batch()
    regularizer = KLReference(beta=Linear(start=0.0, end=1.0, steps=4))
    plan = regularizer.plan(tokens, step=2, reducer=LOCAL)
    reference = tokens.old_logp_T - 0.2
    loss, _ = penalty_of(regularizer, plan, tokens.old_logp_T, tokens, reference_logp_T=reference)
    assert loss.item() == pytest.approx(0.5 * k3(tokens.old_logp_T, reference).mean().item(), rel=1e-5)


def test_kl_cov_takes_the_top_of_all_tokens_and_keeps_the_loss_weights():
    tokens, regularizer = batch(), KLCov(beta=2.0, fraction=0.05)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    cov = covariance_by_loops(tokens)
    expected = sorted(sorted(range(200), key=lambda i: -cov[i])[:10])
    assert plan.selected.nonzero().squeeze(1).tolist() == expected
    logp = tokens.old_logp_T - 0.4
    loss, _ = penalty_of(regularizer, plan, logp, tokens)
    # every selected token: w - 1 - log w at w = exp(-0.4), each of weight 1/200
    assert loss.item() == pytest.approx(2.0 * 10 / 200 * (math.exp(-0.4) - 1 + 0.4), rel=1e-4)


def test_clip_cov_detaches_within_the_band_and_leaves_values_alone():
    tokens, regularizer = batch(), ClipCov(fraction=0.05, low=0.2, high=1.0, seed=0)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    cov = torch.tensor(covariance_by_loops(tokens))
    assert int(plan.detached_T.sum()) == 10
    assert ((cov >= 0.2) & (cov <= 1.0))[plan.detached_T].all()
    assert not plan.selected.any()
    logp = tokens.old_logp_T.clone().requires_grad_()
    seen = plan.policy_logp(logp)
    assert torch.equal(seen, logp)
    seen.sum().backward()
    assert torch.equal(logp.grad, (~plan.detached_T).float())
    assert penalty_of(regularizer, plan, logp, tokens)[0].item() == 0.0


def test_clip_cov_draw_depends_on_seed_and_step_only():
    tokens = batch()

    def draw(seed, step):
        regularizer = ClipCov(fraction=0.05, low=0.0, high=5.0, seed=seed)
        return regularizer.plan(tokens, step=step, reducer=LOCAL).detached_T

    assert torch.equal(draw(1, 4), draw(1, 4))
    assert not torch.equal(draw(1, 4), draw(1, 5))
    assert not torch.equal(draw(1, 4), draw(2, 4))


def test_clip_cov_draw_is_even_over_candidates():
    tokens = batch(n_tokens=40)
    regularizer = ClipCov(fraction=0.1, low=-100.0, high=100.0, seed=0)
    hits = sum(regularizer.plan(tokens, step=s, reducer=LOCAL).detached_T.long() for s in range(500))
    # 500 draws of 4 from 40: 50 each, standard deviation 6.7
    assert hits.sum() == 2000
    assert 20 < hits.min() <= hits.max() < 80


def test_clip_cov_with_an_empty_band_detaches_nothing():
    plan = ClipCov(fraction=0.1, low=50.0, high=60.0, seed=0).plan(batch(), step=0, reducer=LOCAL)
    assert not plan.detached_T.any()
    assert plan.figures == {"clip_cov/candidates": 0.0, "clip_cov/selected": 0.0}


def test_entropy_bonus_by_formula():
    tokens, regularizer = batch(), EntropyBonus(coefficient=0.01)
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    entropy = torch.linspace(0, 2, 200).requires_grad_()
    loss, _ = penalty_of(regularizer, plan, tokens.old_logp_T, tokens, entropy_T=entropy)
    loss.backward()
    assert loss.item() == pytest.approx(-0.01)
    assert entropy.grad.tolist() == pytest.approx([-0.01 / 200] * 200)


def test_no_regularizer_adds_nothing():
    tokens, regularizer = batch(), NoRegularizer()
    plan = regularizer.plan(tokens, step=0, reducer=LOCAL)
    assert not plan.selected.any()
    assert penalty_of(regularizer, plan, tokens.old_logp_T, tokens)[0].item() == 0.0


def test_plan_at_takes_indices_masks_and_slices():
    plan = RegularizerPlan(coefficient_T=torch.arange(4.0), detached_T=torch.tensor([True, False, True, False]))
    assert plan.at(torch.tensor([2, 0])).coefficient_T.tolist() == [2.0, 0.0]
    assert plan.at(torch.tensor([False, True, True, False])).detached_T.tolist() == [False, True]
    assert plan.at(slice(1, 3)).selected.tolist() == [True, True]


def test_token_batch_refuses_mismatched_vectors():
    with pytest.raises(ValueError, match="flat vectors of one length"):
        TokenBatch(
            old_logp_T=torch.zeros(3),
            advantages_T=torch.zeros(2),
            weights_T=torch.zeros(3),
            numeric_T=torch.zeros(3, dtype=torch.bool),
        )


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
        lambda: ClipCov(fraction=0.1, low=2.0, high=1.0, seed=0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ConfigError, match=r"regularizer\."):
        make()

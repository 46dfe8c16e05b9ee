"""The whole update loss on a toy policy, against a naive loop over trajectories and tokens, and cut into micro-batches.

The toy policy is a table of logits per token position, so that gradients can be compared for every parameter.
"""

import math

import pytest
import torch

from support.token_batches import token_batch
from zoom_iqa.objectives.aggregation import SequenceMean, TokenMean
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.measures import merge, to_floats
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs
from zoom_iqa.objectives.penalties.entropy_bonus import EntropyBonus
from zoom_iqa.objectives.penalties.kl_at_answer_digits import Anchor, Divergence, KLCoverage
from zoom_iqa.objectives.penalties.kl_at_covariant_tokens import KLCov
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss, PolicyInputs
from zoom_iqa.parallel.reducer import LocalReducer

N_TOKENS, VOCABULARY = 60, 9
LENGTHS = (5, 12, 1, 20, 7, 15)
POLICY_LOSS = ClippedPolicyLoss(clip_low=0.2, clip_high=0.3)


def coverage(anchor: Anchor, divergence: Divergence) -> KLCoverage:
    return KLCoverage(beta=0.3, fraction=0.2, digits="answer", anchor=anchor, divergence=divergence)


PARTS = {
    "none": None,
    "kl_reference": KLReference(beta=0.3),
    "coverage old sampled": coverage("old", "sampled"),
    "coverage old exact": coverage("old", "exact"),
    "coverage reference sampled": coverage("reference", "sampled"),
    "coverage reference exact": coverage("reference", "exact"),
    "kl_cov": KLCov(beta=0.3, fraction=0.1),
    "clip_cov": ClipCov(fraction=0.1, low=0.0, high=2.0, seed=0),
    "entropy": EntropyBonus(coefficient=0.1),
}


class Case:
    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.old = torch.randn(N_TOKENS, VOCABULARY, generator=g, dtype=torch.float64)
        self.theta = self.old + 0.3 * torch.randn(N_TOKENS, VOCABULARY, generator=g, dtype=torch.float64)
        self.reference = torch.randn(N_TOKENS, VOCABULARY, generator=g, dtype=torch.float64)
        self.sampled = torch.multinomial(self.old.softmax(-1), 1, generator=g).squeeze(1)
        order = torch.randperm(N_TOKENS, generator=g)
        self.trajectory = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))[order]
        self.advantages = torch.randn(len(LENGTHS), generator=g, dtype=torch.float64)[self.trajectory]
        self.numeric = torch.rand(N_TOKENS, generator=g) < 0.5

    def logp(self, logits):
        return logits.log_softmax(-1).gather(1, self.sampled[:, None]).squeeze(1)

    def loss(self, aggregation, part, micro_batches):
        """Loss, gradient and measures with a filter or penalty, accumulated over micro-batches as an update would."""
        weights = aggregation(self.trajectory, n_trajectories=len(LENGTHS), n_tokens=N_TOKENS).double()
        old_logp, reference_logp = self.logp(self.old), self.logp(self.reference)
        batch = token_batch(
            old_logp, self.advantages, weights=weights, numeric=self.numeric, trajectory=self.trajectory
        )
        now = {"step": 0, "mini_batch": 0, "reducer": LocalReducer()}
        keep = part.keep(batch, **now)[0] if isinstance(part, ClipCov) else torch.ones(N_TOKENS, dtype=torch.bool)
        plan = part.plan(batch, **now) if isinstance(part, Penalty) else None
        theta = self.theta.clone().requires_grad_()
        total, measures = 0.0, []
        for tokens in micro_batches:
            logits = theta[tokens]
            dist = logits.log_softmax(-1)
            logp = dist.gather(1, self.sampled[tokens][:, None]).squeeze(1)
            loss, shown = POLICY_LOSS(
                PolicyInputs(
                    logp_U=torch.where(keep[tokens], logp, logp.detach()),
                    old_logp_U=old_logp[tokens],
                    advantages_U=self.advantages[tokens],
                    weights_U=weights[tokens],
                )
            )
            measures.append(shown)
            if plan is not None:
                coefficient = plan.coefficient_M[tokens]
                selected = coefficient != 0
                anchors = {"old": self.old, "reference": self.reference}
                penalty, more = part.loss(
                    PenaltyInputs(
                        coefficient_U=coefficient,
                        logp_U=logp,
                        signals={"old": old_logp[tokens], "reference": reference_logp[tokens]},
                        entropy_U=-(dist.exp() * dist).sum(-1),
                        log_dist_SV=dist[selected],
                        distributions={name: a[tokens][selected].log_softmax(-1) for name, a in anchors.items()},
                    )
                )
                loss = loss + penalty
                measures.append(more)
            loss.backward()
            total += loss.item()
        return total, theta.grad, to_floats(merge(measures))


def naive_policy_loss(case, theta, token_mean):
    """Eq. 7 as it is written: trajectory by trajectory, token by token."""
    logp, old = case.logp(theta), case.logp(case.old)
    total = torch.zeros((), dtype=torch.float64)
    for n in range(len(LENGTHS)):
        terms = []
        for t in range(N_TOKENS):
            if case.trajectory[t] == n:
                ratio, advantage = torch.exp(logp[t] - old[t]), case.advantages[t]
                terms.append(torch.min(ratio * advantage, ratio.clamp(0.8, 1.3) * advantage))
        total = total + (sum(terms) / N_TOKENS if token_mean else sum(terms) / len(terms) / len(LENGTHS))
    return -total


@pytest.mark.parametrize("aggregation", [SequenceMean(), TokenMean()], ids=["sequence mean", "token mean"])
def test_loss_and_gradient_equal_a_naive_loop(aggregation):
    case = Case()
    loss, grad, _ = case.loss(aggregation, None, [torch.arange(N_TOKENS)])
    theta = case.theta.clone().requires_grad_()
    naive = naive_policy_loss(case, theta, token_mean=isinstance(aggregation, TokenMean))
    naive.backward()
    assert loss == pytest.approx(naive.item(), rel=1e-6)
    torch.testing.assert_close(grad, theta.grad, rtol=1e-6, atol=1e-9)


def test_kl_coverage_equals_a_naive_loop():
    """Exact divergence to the old policy at the selected tokens, summed entry by entry."""
    case = Case()
    part = PARTS["coverage old exact"]
    loss, grad, _ = case.loss(SequenceMean(), part, [torch.arange(N_TOKENS)])
    old_logp = case.logp(case.old)
    cov = (old_logp - old_logp.mean()) * (case.advantages - case.advantages.mean())
    candidates = sorted(case.numeric.nonzero().squeeze(1).tolist(), key=lambda t: -cov[t].item())
    selected = candidates[: max(1, math.floor(0.2 * len(candidates)))]
    theta = case.theta.clone().requires_grad_()
    p_old, log_theta = case.old.softmax(-1), theta.log_softmax(-1)
    kl = sum(p_old[t, v] * (p_old[t, v].log() - log_theta[t, v]) for t in selected for v in range(VOCABULARY))
    naive = naive_policy_loss(case, theta, token_mean=False) + 0.3 * kl / len(selected)
    naive.backward()
    assert loss == pytest.approx(naive.item(), rel=1e-6)
    torch.testing.assert_close(grad, theta.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_micro_batches_change_nothing(part):
    case = Case()
    loss, grad, measures = case.loss(SequenceMean(), part, [torch.arange(N_TOKENS)])
    shuffled = torch.randperm(N_TOKENS, generator=torch.Generator().manual_seed(1))
    for size in (1, 7, 30):
        other, other_grad, other_measures = case.loss(SequenceMean(), part, shuffled.split(size))
        assert other == pytest.approx(loss, rel=1e-10)
        torch.testing.assert_close(other_grad, grad, rtol=1e-10, atol=1e-14)
        assert other_measures == pytest.approx(measures)


@pytest.mark.parametrize("name", [n for n in PARTS if n not in ("none", "clip_cov")])
def test_every_penalty_changes_the_gradient(name):
    case = Case()
    _, plain, _ = case.loss(SequenceMean(), None, [torch.arange(N_TOKENS)])
    _, penalised, _ = case.loss(SequenceMean(), PARTS[name], [torch.arange(N_TOKENS)])
    assert (plain - penalised).abs().max() > 1e-4


def test_clip_cov_removes_exactly_the_detached_tokens_gradient():
    case = Case()
    _, plain, _ = case.loss(SequenceMean(), None, [torch.arange(N_TOKENS)])
    _, clipped, _ = case.loss(SequenceMean(), PARTS["clip_cov"], [torch.arange(N_TOKENS)])
    changed = (plain != clipped).any(1)
    assert 1 <= int(changed.sum()) <= 6
    assert clipped[changed].abs().max() == 0.0
    assert torch.equal(plain[~changed], clipped[~changed])

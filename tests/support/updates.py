"""A policy update as tests run it: its parts by name, a scorer that counts, and the update beside the loops."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from torch import Tensor

from support.naive_update import (
    BETA,
    CLIP_HIGH,
    CLIP_LOW,
    FRACTION,
    Outcome,
    copied,
    descend,
    flat_gradient,
    flat_weights,
    reference_policy,
    relative,
    rollouts,
    start_policy,
)
from support.written_rollouts import varied_advantages
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.token_table import TokenTable, build_table
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.aggregation import SequenceMean, TokenMean
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.penalties.base import Penalty
from zoom_iqa.objectives.penalties.entropy_bonus import EntropyBonus
from zoom_iqa.objectives.penalties.kl_at_answer_digits import Anchor, Divergence, KLCoverage
from zoom_iqa.objectives.penalties.kl_at_covariant_tokens import KLCov
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion, TokenLogProbs
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.policy.vision_gradients import VisionGradients


def coverage(fraction: float, *, anchor: Anchor, divergence: Divergence) -> KLCoverage:
    return KLCoverage(beta=BETA, fraction=fraction, digits="answer", anchor=anchor, divergence=divergence)


PARTS: dict[str, TokenFilter | Penalty] = {
    "kl reference": KLReference(beta=BETA),
    "coverage old sampled": coverage(FRACTION, anchor="old", divergence="sampled"),
    "coverage old exact": coverage(FRACTION, anchor="old", divergence="exact"),
    "coverage reference sampled": coverage(FRACTION, anchor="reference", divergence="sampled"),
    "coverage reference exact": coverage(FRACTION, anchor="reference", divergence="exact"),
    "coverage half reference exact": coverage(FRACTION / 2, anchor="reference", divergence="exact"),
    "kl cov": KLCov(beta=BETA, fraction=FRACTION),
    "clip cov": ClipCov(fraction=1.0, low=0.1, high=1.0, seed=0),  # all candidates, so that no draw is left
    "entropy": EntropyBonus(coefficient=0.1),
}
COMBINED = [
    "kl reference + coverage reference exact",  # one pass serves both
    "coverage old exact + coverage half reference exact",  # two anchors, each at tokens of its own
    "clip cov + entropy + coverage old sampled",
]


class CountingScorer(Likelihood):
    """The reference policy's likelihood, and how many samples it was given in all."""

    def __init__(self) -> None:
        super().__init__(policy=reference_policy(), temperature=1.0, features=None, logit_chunk=64)
        self.samples = 0

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        self.samples += len(samples)
        return super().__call__(samples, entropy=entropy, select_S=select_S)


def the_table(advantages: Tensor | None = None) -> TokenTable:
    flat = [rollout for group in rollouts() for rollout in group.rollouts]
    chosen = varied_advantages(len(flat)) if advantages is None else advantages
    return build_table(flat, chosen, policy=start_policy())


def off_by(table: TokenTable, nats: float) -> TokenTable:
    """As from a sampler whose log-probabilities are too low."""
    return table.with_signals({"sampled": table.signals["sampled"] - nats})


def vision_of(policy: Policy) -> VisionGradients:
    return VisionGradients(model=policy.model, cache=VisionCache(model=policy.model, capacity=10_000))


def parts_of(names: str) -> dict[str, TokenFilter | Penalty]:
    return {name: PARTS[name] for name in names.split(" + ") if name != "none"}


def updated(
    parts: str | dict[str, TokenFilter | Penalty] = "none",
    *,
    table: TokenTable | None = None,
    budget: int = 1_000_000,
    epochs: int = 1,
    mini_batches: int = 1,
    aggregation: SequenceMean | TokenMean | None = None,
    old_logp: str = "sampled",
    tolerance: float = 0.0,
    reference: Likelihood | None = None,
) -> Outcome:
    policy = copied(start_policy())
    gradients: list[Tensor] = []
    used = parts_of(parts) if isinstance(parts, str) else parts

    def step(finite: bool) -> float | None:
        if not finite:
            policy.model.zero_grad()
            return None
        gradients.append(flat_gradient(policy))
        descend(policy)
        return gradients[-1].norm().item()

    update = PolicyUpdate(
        loss=ClippedPolicyLoss(clip_low=CLIP_LOW, clip_high=CLIP_HIGH),
        aggregation=aggregation or SequenceMean(),
        filters={name: part for name, part in used.items() if isinstance(part, TokenFilter)},
        penalties={name: part for name, part in used.items() if isinstance(part, Penalty)},
        epochs=epochs,
        mini_batches=mini_batches,
        micro_batch_tokens=budget,
        old_logp=old_logp,
        sampler_check=SamplerCheck(tolerance=tolerance, every=1),
    )
    figures = update.run(
        table or the_table(),
        likelihood=Likelihood(policy=policy, temperature=1.0, features=vision_of(policy), logit_chunk=64),
        reference=reference or CountingScorer(),
        backward=lambda loss: loss.backward(),
        optimizer_step=step,
        step=0,
        reducer=LocalReducer(),
    )
    return Outcome(gradients, flat_weights(policy), figures)


def assert_same(found: Outcome, expected: Outcome) -> None:
    """The first step to 1e-5; later ones start from weights that already differ by rounding."""
    assert len(found.gradients) == len(expected.gradients)
    for number, (ours, theirs) in enumerate(zip(found.gradients, expected.gradients, strict=True)):
        assert relative(ours, theirs) < (1e-5 if number == 0 else 1e-4)
    assert found.figures["policy/loss"] == pytest.approx(expected.figures["policy/loss"], rel=1e-4, abs=1e-6)

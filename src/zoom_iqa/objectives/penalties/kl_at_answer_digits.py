"""KL-Coverage (Zoom-IQA, arXiv 2601.02918): hold the policy to an anchor at the answer's most covariant digits."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from zoom_iqa.base.ranges import require_fraction, require_one_of
from zoom_iqa.objectives.divergence import exact_kl, sampled_kl_to_anchor
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs, PenaltyPlan, refuse_inert_anchor, required
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.signals import OLD, REFERENCE, Signal
from zoom_iqa.objectives.token_batch import DECIDED, NUMBERS, TokenBatch
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, selection_figures, top_mask
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.tasks.task import Given

Anchor = Literal["old", "reference"]
"""The policy to stay near: the one that sampled the rollout, or the frozen one the stage started from."""
Divergence = Literal["exact", "sampled"]
"""Summed over the vocabulary (eq. 2), or estimated from the sampled token alone."""

Digits = Literal["answer", "decided"]
"""The candidates: all numbers of the answer, or the rating where the text first writes it."""
MARKS = {"answer": NUMBERS, "decided": DECIDED}

SIGNALS: dict[tuple[str, str], frozenset[Signal]] = {
    ("old", "sampled"): frozenset(),
    ("old", "exact"): frozenset({Signal("policy", tokens="selected", distributions=True)}),
    ("reference", "sampled"): frozenset({REFERENCE}),
    ("reference", "exact"): frozenset({Signal("reference", tokens="selected", distributions=True)}),
}


class KLCoverage(Penalty):
    """beta x mean over selected tokens of D_KL(anchor || theta).

    Candidates are the numeric tokens inside the answer (``digits`` "answer", the paper's), or those of the rating where
    the text first writes it ("decided"): a rationale that names the rating leaves copies of it, and boxes, to the
    answer. The ``fraction`` of them (at least one) with the highest covariance is selected, over all processes' tokens
    of the optimizer step: with mini-batches, of the mini-batch.

    ``exact`` is eq. 2. ``sampled`` is unbiased for tokens chosen whatever was sampled at them; eq. 1 chooses by the
    sampled token's own log-probability, and prefers rare ones where the advantage is negative, so that the estimate is
    several times too large there. It spares the distributions of a few tokens and is kept to compare with.
    """

    needs: frozenset[Given] = frozenset({"ratings"})

    def __init__(
        self, *, beta: float | Schedule, fraction: float, digits: Digits, anchor: Anchor, divergence: Divergence
    ) -> None:
        self._beta = not_negative("penalties.kl_coverage.beta", beta)
        require_fraction("penalties.kl_coverage.fraction", fraction)
        require_one_of("penalties.kl_coverage.digits", digits, get_args(Digits))
        require_one_of("penalties.kl_coverage.anchor", anchor, get_args(Anchor))
        require_one_of("penalties.kl_coverage.divergence", divergence, get_args(Divergence))
        self._fraction, self._mark, self._anchor = fraction, MARKS[digits], anchor
        self._exact = divergence == "exact"
        self.signals = SIGNALS[anchor, divergence]

    def check(self, *, updates_per_rollout: int) -> None:
        """Refuse the old policy as anchor with a single update per rollout.

        Raises:
            ConfigError: the term would be exactly zero.
        """
        if self._anchor == "old":
            refuse_inert_anchor("kl_coverage", updates_per_rollout)

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        """Select the most covariant numeric tokens of the batch; each gets beta / number selected."""
        covariance = gathered_covariance(tokens, mark=self._mark, reducer=reducer)
        n_candidates = int(covariance.marked_N.sum())
        mask_N = top_mask(covariance.cov_N, covariance.marked_N, count=count_of(self._fraction, n_candidates))
        coefficient = self._beta.value(step) / max(int(mask_N.sum()), 1)
        return PenaltyPlan(
            coefficient_M=coefficient * mask_N[covariance.own].to(tokens.weights_M.dtype),
            figures={"candidates": float(n_candidates), **selection_figures(covariance, mask_N)},
        )

    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        """Return the weighted sum of the selected tokens' divergence."""
        kl_S = self._exact_kl(inputs) if self._exact else self._sampled_kl(inputs)
        return (inputs.coefficient_U[inputs.selected_U] * kl_S).sum(), {"kl": mean_of(kl_S)}

    def _exact_kl(self, inputs: PenaltyInputs) -> Tensor:
        anchor_SV = required(f"distributions[{self._anchor!r}]", inputs.distributions.get(self._anchor))
        return exact_kl(anchor_SV, required("log_dist_SV", inputs.log_dist_SV))

    def _sampled_kl(self, inputs: PenaltyInputs) -> Tensor:
        anchor_logp_S, old_logp_S = inputs.signal_at_selected(self._anchor), inputs.signal_at_selected(OLD.name)
        return sampled_kl_to_anchor(inputs.logp_U[inputs.selected_U], anchor_logp_S, old_logp_S)

"""The loss of one micro-batch: the policy loss of what filters keep, and the penalties.

Legend: M tokens of the mini-batch, U those of the micro-batch, S those that a penalty selects, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoom_iqa.learning.micro_batches import MicroBatch
from zoom_iqa.learning.mini_batch import MiniBatch
from zoom_iqa.learning.signals import SelectedSignals
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.objectives.measures import Mean, Measures, peak_of
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss, PolicyInputs
from zoom_iqa.objectives.signals import OLD, SAMPLED
from zoom_iqa.policy.log_probabilities import Likelihood


class MicroBatchLoss:
    """Forwards a micro-batch with gradient and adds up what it costs."""

    def __init__(self, *, policy_loss: ClippedPolicyLoss, penalties: Mapping[str, Penalty]) -> None:
        self._policy_loss, self._penalties = policy_loss, penalties
        self._entropy = any(penalty.entropy for penalty in penalties.values())
        self._distributions = {
            name: sorted(signal.name for signal in penalty.signals if signal.distributions)
            for name, penalty in penalties.items()
        }

    def __call__(
        self,
        table: TokenTable,
        part: MiniBatch,
        micro: MicroBatch,
        at_selected: SelectedSignals,
        likelihood: Likelihood,
    ) -> tuple[Tensor, Measures]:
        """Loss share and measures of a micro-batch of the mini-batch ``part``."""
        place_U = part.places_of(micro)
        rows_U = self._reads_rows(part, place_U)
        own = likelihood(
            [table.sequences[k] for k in micro.sequences],
            entropy=self._entropy,
            select_S=rows_U.nonzero()[:, 0] if any(self._distributions.values()) else None,
        )
        logp_U, device = own.logp_T, own.logp_T.device
        batch = part.batch.at(place_U)
        signals = {name: logp.to(device) for name, logp in batch.signals.items()}
        signals |= {name: logp_T[micro.tokens_U].to(device) for name, logp_T in at_selected.logp.items()}
        loss, measures = self._policy_loss(
            PolicyInputs(
                logp_U=torch.where(part.keep_M[place_U].to(device), logp_U, logp_U.detach()),
                old_logp_U=signals[OLD.name],
                advantages_U=part.advantages_M[place_U].to(device, logp_U.dtype),
                weights_U=batch.weights_M.to(device),
            )
        )
        row_of_U = rows_U.cumsum(0) - 1  # where a token's distribution is among those that were asked for
        for name, penalty in self._penalties.items():
            coefficient_U = part.plans[name].coefficient_M[place_U]
            selected_U = coefficient_U != 0
            read = self._distributions[name]
            own_SV = own.log_dist_SV[row_of_U[selected_U]] if read and own.log_dist_SV is not None else None
            share, found = penalty.loss(
                PenaltyInputs(
                    coefficient_U=coefficient_U.to(device),
                    logp_U=logp_U,
                    signals=signals,
                    entropy_U=own.entropy_T,
                    log_dist_SV=own_SV,
                    distributions={
                        which: at_selected.distributions[which].of(micro.tokens_U[selected_U]).to(device)
                        for which in read
                    },
                )
            )
            loss = loss + share
            measures |= {f"{name}/{key}": measure for key, measure in found.items()}
        gap_U = (logp_U.detach() - signals[SAMPLED]).abs()
        # weights sum to 1 over the micro-batches of all processes: the mean is that of the steps' whole losses
        whole = Mean(loss.detach().double(), batch.weights_M.sum(dtype=torch.float64).to(device))
        return loss, {**measures, "policy/loss": whole, "policy/sampler_gap": peak_of(gap_U)}

    def _reads_rows(self, part: MiniBatch, place_U: Tensor) -> Tensor:
        """The mask (U,) of tokens at which some penalty reads the policy's own distribution."""
        rows_U = torch.zeros_like(place_U, dtype=torch.bool)
        for name, read in self._distributions.items():
            if read:
                rows_U |= part.plans[name].selected_M[place_U]
        return rows_U

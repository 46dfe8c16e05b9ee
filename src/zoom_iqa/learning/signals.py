"""The passes that signals take: the whole table at once, or what is selected of it; without gradient, before any step.

Legend: K sequences, T generated tokens of the table, U those of a micro-batch, S selected tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.learning.micro_batches import micro_batches_of
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.objectives.signals import OLD, SHOWN, Signal, Weights
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.reference import StartAdaptersLikelihood

AnyLikelihood = Likelihood | StartAdaptersLikelihood


@dataclass(frozen=True, eq=False)
class Distributions:
    """Log-distributions (S, V) at tokens of the table, in the order of their indices ``tokens_S``."""

    tokens_S: Tensor
    log_dist_SV: Tensor

    def of(self, tokens: Tensor) -> Tensor:
        """The rows of some of these tokens, given their indices in the table."""
        return self.log_dist_SV[torch.searchsorted(self.tokens_S, tokens)]


@dataclass(frozen=True, eq=False)
class SelectedSignals:
    """By name of the signal: log-probabilities (T,), NaN where none were made, and distributions where asked for."""

    logp: Mapping[str, Tensor]
    distributions: Mapping[str, Distributions]


class SignalPasses:
    """Makes signals of a table; ``budget`` bounds the tokens that are forwarded together and changes no result."""

    def __init__(self, *, policy: Likelihood, reference: AnyLikelihood | None, budget: int) -> None:
        self._likelihoods: dict[Weights, AnyLikelihood | None] = {"policy": policy, "reference": reference}
        self._budget = budget

    def everywhere(self, table: TokenTable, signal: Signal) -> Tensor:
        """Log-probabilities (T,) of all tokens.

        Sequences that a view leaves as they are take no pass: they have those of the old policy.
        """
        chosen: Sequence[int] = range(len(table.sequences))
        known = signal.weights == "policy" and signal.view != SHOWN and OLD.name in table.signals
        if known:
            chosen = table.changed_by(signal.view)
        logp_T = self._forward(table, signal.weights, signal.view, chosen, rows_T=None)[0]
        return torch.where(table.tokens_of(chosen), logp_T, table.signals[OLD.name]) if known else logp_T

    def at_selected(self, table: TokenTable, wanted: Mapping[Signal, Tensor]) -> SelectedSignals:
        """Each signal at the tokens of its mask (T,). Only sequences that hold one of them are forwarded: of a few per
        cent of digits, few sequences do. Signals of the same weights and view share a pass.
        """
        logp: dict[str, Tensor] = {}
        distributions: dict[str, Distributions] = {}
        for name in dict.fromkeys(signal.name for signal in wanted):
            masks = {signal: mask_T for signal, mask_T in wanted.items() if signal.name == name}
            weights, view = next((signal.weights, signal.view) for signal in masks)
            rows = [mask_T for signal, mask_T in masks.items() if signal.distributions]
            holding = _holding(table, _any(list(masks.values())))
            logp_T, found = self._forward(table, weights, view, holding, rows_T=_any(rows) if rows else None)
            if name not in table.signals:
                logp[name] = logp_T
            if found is not None:
                distributions[name] = found
        return SelectedSignals(logp, distributions)

    @torch.no_grad()
    def _forward(
        self, table: TokenTable, weights: Weights, view: str, chosen: Sequence[int], *, rows_T: Tensor | None
    ) -> tuple[Tensor, Distributions | None]:
        """Log-probabilities of the chosen sequences' tokens, and the distributions at those of the mask ``rows_T``."""
        likelihood = self._likelihoods[weights]
        if likelihood is None:
            raise ValueError(f"a signal of the {weights} is asked for, and there is none")
        seen = table.seen_as(view)
        logp_T = torch.full((len(table.trajectory_T),), torch.nan)
        tokens: list[Tensor] = []
        rows: list[Tensor] = []
        micros = micro_batches_of(table, chosen, self._budget, view=seen)
        more = likelihood.passes_more(len(micros))
        for micro in micros:
            select_S = None if rows_T is None else rows_T[micro.tokens_U].nonzero()[:, 0]
            found = likelihood([seen[k] for k in micro.sequences], entropy=False, select_S=select_S)
            logp_T[micro.tokens_U] = found.logp_T.cpu()
            if select_S is not None and found.log_dist_SV is not None:
                tokens.append(micro.tokens_U[select_S])
                rows.append(found.log_dist_SV)
        for _ in range(more):
            likelihood.idle()
        return logp_T, None if rows_T is None else _in_order(tokens, rows)


def missing_everywhere(signals: Iterable[Signal], table: TokenTable) -> list[Signal]:
    """Of the signals over all tokens, those that the table does not have yet, each once and in a fixed order."""
    missing = {signal for signal in signals if signal.tokens == "all" and signal.name not in table.signals}
    return sorted(missing, key=lambda signal: signal.name)


def _holding(table: TokenTable, mask_T: Tensor) -> list[int]:
    """The sequences that hold a token of the mask."""
    sequence_T = torch.arange(len(table.sequences)).repeat_interleave(table.lengths_K)
    return sequence_T[mask_T].unique().tolist()


def _in_order(tokens: Sequence[Tensor], rows: Sequence[Tensor]) -> Distributions:
    if not rows:  # all that was selected may be on other processes; without rows the width is free
        return Distributions(torch.zeros(0, dtype=torch.long), torch.zeros(0, 1))
    tokens_S, order_S = torch.cat(list(tokens)).sort()
    return Distributions(tokens_S, torch.cat(list(rows))[order_S])


def _any(masks: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(masks)).any(0)

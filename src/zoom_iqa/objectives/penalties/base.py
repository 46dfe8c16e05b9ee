"""The protocol of penalties: chosen tokens and coefficients for the whole batch first, then a loss per micro-batch.

Legend: M tokens of one optimizer step on this process, U tokens of a micro-batch, S those of them that a penalty
selects, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.signals import Signal
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import View
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.tasks.task import Given


@dataclass(frozen=True, eq=False, kw_only=True)
class PenaltyPlan:
    """Tokens that are penalised, and how much.

    ``coefficient_M`` already holds coefficients and denominators of the whole batch: 0 means not selected.
    ``figures`` describe the selection over all processes, for the log.
    """

    coefficient_M: Tensor
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def selected_M(self) -> Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """True where the penalty applies; signals at selected tokens are made at these only."""
        return self.coefficient_M != 0


@dataclass(frozen=True, eq=False, kw_only=True)
class PenaltyInputs:
    """A micro-batch as a penalty sees it.

    ``logp_U`` carries gradient, and so do ``entropy_U``, where the penalty asks for it, and ``log_dist_SV``, the
    policy's distributions at the selected tokens, where the penalty names a signal with distributions. ``signals`` are
    log-probabilities by signal name, NaN at tokens for which they were not made; ``distributions`` are the signals'
    own, at the selected tokens, in their order.
    """

    coefficient_U: Tensor
    logp_U: Tensor
    signals: Mapping[str, Tensor]
    entropy_U: Tensor | None = None
    log_dist_SV: Tensor | None = None
    distributions: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def selected_U(self) -> Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """True where the penalty applies."""
        return self.coefficient_U != 0

    def signal_at_selected(self, name: str) -> Tensor:
        """A signal's log-probabilities (S,) at the selected tokens.

        Raises:
            ValueError: it was not made.
        """
        return required(f"signals[{name!r}]", self.signals.get(name))[self.selected_U]


class Penalty(ABC):
    """A term added to the policy loss, and what it needs computed. Several add up.

    ``signals`` are the passes it reads beside the old policy's log-probabilities; ``views`` are the views of the prompt
    that they name, by name; ``entropy`` says whether it needs the policy's own, with gradient, and ``needs`` which
    parts of a trajectory, without which it would do nothing. One that keeps something of earlier steps gives
    ``state_dict`` and ``load_state_dict``: it is saved and resumed.
    """

    signals: frozenset[Signal] = frozenset()
    views: Mapping[str, View] = MappingProxyType({})
    needs: frozenset[Given] = frozenset()
    entropy: bool = False

    def check(self, *, updates_per_rollout: int) -> None:  # noqa: B027 - most penalties accept any number
        """Refuse a setting under which the term would silently do nothing.

        Raises:
            ConfigError: with ``updates_per_rollout`` optimizer steps per rollout the term is always zero.
        """

    @abstractmethod
    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        """Choose tokens and coefficients over the whole batch of all processes, before it is cut into micro-batches.

        ``step`` counts rollouts from 0, however many optimizer steps each makes; ``mini_batch`` counts the parts a
        rollout is cut into, from 0. Passes over the same rollout repeat the plans of the first. Every process must call
        this at the same time.
        """

    @abstractmethod
    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        """Return the micro-batch's share of the penalty, to be added to its policy loss, and what to log."""


def required(name: str, value: Tensor | None) -> Tensor:
    """Return an optional tensor of PenaltyInputs that the penalty asked for.

    Raises:
        ValueError: it is missing.
    """
    if value is None:
        raise ValueError(f"PenaltyInputs.{name} is missing; compute it, the penalty asks for it")
    return value


def refuse_inert_anchor(name: str, updates_per_rollout: int) -> None:
    """Refuse anchoring at the sampling policy when each rollout is used for one update only.

    Raises:
        ConfigError: the policy then equals its anchor at that update, so the term and its gradient are exactly zero.
    """
    if updates_per_rollout == 1:
        raise ConfigError(
            f"penalties.{name} anchors at the sampling policy, but with one update per rollout "
            "(update.epochs x update.mini_batches) the policy equals it and the term is exactly zero; "
            "set grpo.module.update.mini_batches=2, or penalties=kl_coverage penalties.kl_coverage.anchor=reference"
        )

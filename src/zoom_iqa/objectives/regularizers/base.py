"""What a regularizer is: chosen tokens and coefficients for the whole batch first, then a penalty per micro-batch.

T: generated tokens (of the batch in a plan, of the micro-batch in a penalty). S: selected tokens. V: vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.measures import Measures
from zoom_iqa.parallel.reducer import Reducer

Need = Literal["reference_logp", "old_distribution", "reference_distribution", "entropy"]
"""What a regularizer asks the caller to compute beyond the policy's log-probabilities:

- reference_logp: log-probability of the plan's selected tokens under the frozen reference policy (elsewhere anything);
- old_distribution: the policy's full log-distribution at the selected tokens, taken before the first update;
- reference_distribution: the same of the reference policy;
- entropy: the policy's entropy at each token, with gradient.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenBatch:
    """All generated tokens of one optimizer step on this process, concatenated; every field has shape (T,).

    ``weights_T`` come from an Aggregation; ``numeric_T`` marks the rating's and box's digits inside the answer.
    """

    old_logp_T: torch.Tensor
    advantages_T: torch.Tensor
    weights_T: torch.Tensor
    numeric_T: torch.Tensor

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in self.__dataclass_fields__}
        if len(set(shapes.values())) != 1 or len(shapes["old_logp_T"]) != 1:
            raise ValueError(f"a token batch needs flat vectors of one length; got {shapes}")


@dataclass(frozen=True, eq=False, kw_only=True)
class RegularizerPlan:
    """Which tokens are penalised, how much, and which lose their policy gradient; both of shape (T,).

    ``coefficient_T`` already holds coefficients and denominators of the whole batch: 0 means not selected.
    ``figures`` describe the selection over all processes, for the log.
    """

    coefficient_T: torch.Tensor
    detached_T: torch.Tensor
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def selected(self) -> torch.Tensor:
        """True where a penalty applies, shape (T,); distributions are needed at these tokens only."""
        return self.coefficient_T != 0

    def at(self, tokens: torch.Tensor | slice) -> RegularizerPlan:
        """Return the part of the plan for the tokens of a micro-batch (indices, mask or slice)."""
        return RegularizerPlan(
            coefficient_T=self.coefficient_T[tokens], detached_T=self.detached_T[tokens], figures=self.figures
        )

    def policy_logp(self, logp_T: torch.Tensor) -> torch.Tensor:
        """Return what the policy loss should see: the same values, without gradient at detached tokens."""
        return torch.where(self.detached_T, logp_T.detach(), logp_T)


@dataclass(frozen=True, eq=False, kw_only=True)
class PenaltyInputs:
    """A micro-batch as a penalty sees it. The optional fields are filled according to the regularizer's ``needs``.

    ``logp_T``, ``entropy_T`` and ``log_dist_SV`` carry gradient. The two distributions hold the rows of the plan's
    selected tokens in their order; the anchor's is the old or the reference policy's.
    """

    plan: RegularizerPlan
    logp_T: torch.Tensor
    old_logp_T: torch.Tensor
    reference_logp_T: torch.Tensor | None = None
    entropy_T: torch.Tensor | None = None
    log_dist_SV: torch.Tensor | None = None
    anchor_log_dist_SV: torch.Tensor | None = None


class Regularizer(ABC):
    """A term added to the policy loss, and what it needs computed."""

    needs: frozenset[Need] = frozenset()

    def check(self, *, updates_per_rollout: int) -> None:  # noqa: B027 - most regularizers accept any number
        """Refuse a setting under which the term would silently do nothing.

        Raises:
            ConfigError: with ``updates_per_rollout`` optimizer steps per rollout the term is always zero.
        """

    @abstractmethod
    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Choose tokens and coefficients over the whole batch of all processes, before it is cut into micro-batches.

        ``step`` counts optimizer steps. Every process must call this at the same time.
        """

    @abstractmethod
    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return the micro-batch's share of the penalty, to be added to its policy loss, and what to log."""


def no_detachment(batch: TokenBatch) -> torch.Tensor:
    """Return the mask of a regularizer that leaves the policy gradient alone."""
    return torch.zeros_like(batch.old_logp_T, dtype=torch.bool)


def required(name: str, value: torch.Tensor | None) -> torch.Tensor:
    """Return an optional field of PenaltyInputs that the regularizer's ``needs`` promised.

    Raises:
        ValueError: it is missing.
    """
    if value is None:
        raise ValueError(f"PenaltyInputs.{name} is missing; compute it, the regularizer's `needs` asks for it")
    return value


def choice(key: str, value: str, options: object) -> str:
    """Return ``value`` if it is one of a Literal's options.

    Raises:
        ConfigError: it is not; the message lists them.
    """
    if value not in get_args(options):
        raise ConfigError(f"{key}={value!r}; choose one of {', '.join(get_args(options))}")
    return value


def fraction_of(key: str, value: float) -> float:
    """Return ``value`` if it is a fraction above 0 and at most 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < value <= 1:
        raise ConfigError(f"{key}={value} must be above 0 and at most 1")
    return value


def refuse_inert_anchor(name: str, updates_per_rollout: int) -> None:
    """Refuse anchoring at the sampling policy when each rollout is used for one update only.

    Raises:
        ConfigError: the policy then equals its anchor at that update, so the term and its gradient are exactly zero.
    """
    if updates_per_rollout == 1:
        raise ConfigError(
            f"regularizer {name} anchors at the sampling policy, but with updates_per_rollout=1 the policy equals it "
            "and the term is exactly zero; use several updates per rollout, or regularizer=kl_coverage with "
            "regularizer.anchor=reference"
        )

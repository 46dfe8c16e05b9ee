"""The rubric: weighted reward terms -> one reward per response, and the breakdown that explains it.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Example
from zoom_iqa.objectives.returned import unlike
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.states import KeepsState, states_of, take_up
from zoom_iqa.tasks.grades import JUDGE
from zoom_iqa.tasks.task import Given

_REMEDY = {JUDGE: "judge=api judge.speaker.model=NAME or judge=policy"}


@runtime_checkable
class RewardTerm(Protocol):
    """One named part of the reward: a weight, and a value for each response."""

    @property
    def weight(self) -> Schedule:
        """The weight of the term at each training step."""
        ...

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return the unweighted reward of each response, finite, shape (B, G)."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Rewards:
    """The total, and what it is made of: ``total_BG = sum of weights[name] * terms[name]``; terms are unweighted.

    ``present`` says, shape (B, G), which responses have a term, where that may not be all of them. One without it gets
    the mean of its group's others, so that the term sets it neither above nor below them, and 0 where none has it. All
    in float32; they were computed in float64, so that equal rewards are equal bit for bit.
    """

    total_BG: torch.Tensor
    terms: dict[str, torch.Tensor]
    weights: dict[str, float]
    present: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def not_finite(self) -> dict[str, list[int]]:
        """The terms that have a value that is not a finite number, and the rows (images) of such values."""
        rows = {name: (~term_BG.isfinite()).any(1).nonzero()[:, 0].tolist() for name, term_BG in self.terms.items()}
        return {name: found for name, found in rows.items() if found}


@runtime_checkable
class ComparesImages(Protocol):
    """The protocol that a reward term follows beside its own if it needs several images at once."""

    @property
    def min_images(self) -> int:
        """The fewest it can be made of, over all processes."""
        ...


@runtime_checkable
class WarnsOfFew(Protocol):
    """A reward term that works with few images at once, but badly."""

    def cost_of_few(self, images: int) -> str | None:
        """The cost of so many images in a step, over all processes; None where they are enough."""
        ...


@runtime_checkable
class NeedsLabels(Protocol):
    """A reward term of which labels alone may tell that it cannot be made."""

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Raise ConfigError, with a remedy, where a label lacks what the term reads."""
        ...


@runtime_checkable
class MayBeAbsent(Protocol):
    """A reward term that not every response has: it is left out of means for the others."""

    def present(self, inputs: RewardInputs) -> torch.Tensor:
        """Responses that have it, shape (B, G)."""
        ...


@runtime_checkable
class NeedsSomeLabels(Protocol):
    """A reward term that is absent where labels lack what it reads."""

    def check_some(self, examples: Sequence[Example]) -> None:
        """Raise ConfigError, with a remedy, where it can be made of none, so that there is nothing to learn from it."""
        ...


@runtime_checkable
class ReadsProbe(Protocol):
    """A reward term that reads the answers to a question about finished rollouts."""

    @property
    def probe(self) -> str:
        """The name of the probe."""
        ...


@runtime_checkable
class NeedsOfTask(Protocol):
    """A reward term that reads parts of a trajectory that not every task has."""

    @property
    def needs(self) -> frozenset[Given]:
        """Those parts."""
        ...


@runtime_checkable
class Adapts(KeepsState, Protocol):
    """The protocol of a reward term whose values follow from what the policy has learned so far: it has a state."""

    def advance(self, inputs: RewardInputs) -> Mapping[str, float]:
        """Take a rewarded batch into account, over all processes, and return what to log of it."""
        ...


TAKEN = ("total", "group_std", "flat_groups")
"""Figures of all terms together, which are logged and recorded beside those of each."""


class Rubric:
    """The weighted sum of named reward terms.

    Raises:
        ConfigError: there is no term, an entry is not a reward term or has a name that is taken, or a weight is below
            0.
    """

    def __init__(self, *, terms: Mapping[str, RewardTerm]) -> None:
        self._terms = dict(terms.items())
        if not self._terms:
            raise ConfigError("the reward has no terms; choose one of the reward group, such as reward=full")
        for name, term in self._terms.items():
            if not isinstance(term, RewardTerm):
                raise ConfigError(
                    f"reward.{name} is not a reward term; give it a _target_ that makes one, or remove it"
                )
            if name in TAKEN or name.removesuffix("_present") in self._terms.keys() - {name}:
                raise ConfigError(f"reward.{name}: reward/{name} is logged already as another figure; rename the term")
        self._adapting = {name: term for name, term in self._terms.items() if isinstance(term, Adapts)}
        self._keeping = {name: term for name, term in self._terms.items() if isinstance(term, KeepsState)}
        self._weights = {name: not_negative(f"reward.{name}.weight", term.weight) for name, term in terms.items()}

    @property
    def min_images(self) -> int:
        """The fewest images, over all processes, that every term can be made of."""
        return max((term.min_images for term in self._terms.values() if isinstance(term, ComparesImages)), default=1)

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Refuse labels that some term cannot be made of, before there is anything to reward.

        Raises:
            ConfigError: there are too few images, or a label lacks what a term reads.
        """
        if len(examples) < self.min_images:
            raise ConfigError(
                f"the reward compares images and {examples[0].dataset} has {len(examples)} here; "
                f"use at least {self.min_images}, or a reward that does not, such as reward=score_only"
            )
        for term in self._terms.values():
            if isinstance(term, NeedsLabels):
                term.check_labels(examples)

    def check_some(self, examples: Sequence[Example]) -> None:
        """Refuse images to learn from of which some term can be made of none.

        Raises:
            ConfigError: a term cannot be made of any.
        """
        for term in self._terms.values():
            if isinstance(term, NeedsSomeLabels):
                term.check_some(examples)

    def check_probes(self, probes: Collection[str]) -> None:
        """Refuse probes that lack one which a term reads.

        Raises:
            ConfigError: a probe is missing.
        """
        for name, term in self._terms.items():
            if isinstance(term, ReadsProbe) and term.probe not in probes:
                raise ConfigError(
                    f"reward.{name} reads the probe {term.probe!r} and there is {', '.join(probes) or 'none'}; add "
                    f"{_REMEDY.get(term.probe, 'probes=description')}, or drop the term with ~reward.{name}"
                )

    @property
    def needs(self) -> dict[str, frozenset[Given]]:
        """The parts of a trajectory that terms need, by the terms' keys in the config."""
        return {f"reward.{name}": term.needs for name, term in self._terms.items() if isinstance(term, NeedsOfTask)}

    def reads(self, probe: str) -> bool:
        """Whether a term reads this probe."""
        return any(isinstance(term, ReadsProbe) and term.probe == probe for term in self._terms.values())

    def warnings(self, *, images: int) -> list[str]:
        """The cost of so few images in a step, over all processes, term by term."""
        said = [term.cost_of_few(images) for term in self._terms.values() if isinstance(term, WarnsOfFew)]
        return [warning for warning in said if warning is not None]

    def advance(self, inputs: RewardInputs) -> dict[str, float]:
        """Let terms take a rewarded batch into account; their figures under ``<term>/<figure>``.

        Every process must call it, after ``rewards``, which changes no state.
        """
        return {
            f"{name}/{figure}": value
            for name, term in self._adapting.items()
            for figure, value in term.advance(inputs).items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The states of terms that have one, by name."""
        return states_of(self._keeping, group="reward")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ConfigError: other terms have a state there.
        """
        take_up(self._keeping, state, group="reward")

    def rewards(self, inputs: RewardInputs, *, step: int) -> Rewards:
        """Return the total and the breakdown at this training step; values that are not finite are the caller's to see.

        Raises:
            ConfigError: a term returns no tensor of shape (B, G), or does not say of each response whether it has it.
        """
        terms = {name: _checked(name, term.reward(inputs), inputs).double() for name, term in self._terms.items()}
        present = {
            name: _checked(f"{name}.present", term.present(inputs), inputs, dtype=torch.bool)
            for name, term in self._terms.items()
            if isinstance(term, MayBeAbsent)
        }
        terms |= {name: _neutral(terms[name], present_BG) for name, present_BG in present.items()}
        weights = {name: weight.value(step) for name, weight in self._weights.items()}
        total_BG = torch.stack([weights[name] * terms[name] for name in terms]).sum(0)
        return Rewards(
            total_BG=total_BG.float(),
            terms={name: term.float() for name, term in terms.items()},
            weights=weights,
            present=present,
        )


def _neutral(term_BG: torch.Tensor, present_BG: torch.Tensor) -> torch.Tensor:
    """The term with the mean of the group's others where it is absent; 0 where no response of a group has it."""
    count_B1 = present_BG.sum(1, keepdim=True).clamp(min=1)
    mean_B1 = term_BG.where(present_BG, 0.0).sum(1, keepdim=True) / count_B1
    return term_BG.where(present_BG, mean_B1)


def _checked(name: str, found: torch.Tensor, inputs: RewardInputs, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    wrong = unlike(found, shape=inputs.shape, dtype=dtype)
    if wrong is not None:
        kind = "" if dtype is None else f"{dtype} "
        expected = f"it must be a {kind}tensor of shape {inputs.shape}"
        raise ConfigError(f"reward term {name!r} returned {wrong}; {expected}")
    return found

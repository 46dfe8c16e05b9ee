"""The rubric: weighted reward terms -> one reward per response, and the breakdown that explains it.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ParseFailure, RolloutGroup
from zoom_iqa.objectives.rewards.formulas import GroupStatistics, group_statistics
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.parallel.reducer import Reducer


@dataclass(frozen=True, eq=False, kw_only=True)
class RewardInputs:
    """What reward terms read. ``groups`` is for terms that look at text; the tensors say the same in numbers.

    Where recorded predictions are scored, the groups' prompts and tokens are empty; texts, answers and boxes are there.

    ``ratings_BG`` is on 1-5, NaN where the answer holds no rating. ``statistics`` describes the images of all
    processes; this process's start at ``own_offset``.
    """

    groups: tuple[RolloutGroup, ...]
    ratings_BG: torch.Tensor
    well_formed_BG: torch.Tensor
    mos_B: torch.Tensor
    statistics: GroupStatistics
    own_offset: int

    @staticmethod
    def from_groups(groups: Sequence[RolloutGroup], *, reducer: Reducer) -> RewardInputs:
        """Read ratings, format and MOS off the rollouts, and gather the images' statistics over all processes.

        Give all groups of one optimizer step at once, accumulation steps included: they are ranked together.

        Raises:
            ValueError: no groups, or groups of different sizes.
        """
        sizes = sorted({len(group.rollouts) for group in groups})
        if len(sizes) != 1 or sizes[0] == 0:
            raise ValueError(f"rewards need groups of one size of at least 1; got {len(groups)} groups, sizes {sizes}")
        ratings = [[_rating_or_nan(rollout.rating) for rollout in group.rollouts] for group in groups]
        ratings_BG = torch.tensor(ratings, dtype=torch.float64)
        mos_B = torch.tensor([group.item.mos for group in groups], dtype=torch.float64)
        stds = [math.nan if group.item.mos_std is None else group.item.mos_std for group in groups]
        local = group_statistics(ratings_BG, mos_B, torch.tensor(stds, dtype=torch.float64))
        columns, offset = reducer.gather(torch.stack((local.mean_N, local.var_N, local.mos_N, local.mos_std_N), dim=1))
        mean_N, var_N, mos_N, mos_std_N = columns.unbind(1)
        return RewardInputs(
            groups=tuple(groups),
            ratings_BG=ratings_BG,
            well_formed_BG=torch.tensor([[rollout.well_formed for rollout in group.rollouts] for group in groups]),
            mos_B=mos_B,
            statistics=GroupStatistics(mean_N=mean_N, var_N=var_N, mos_N=mos_N, mos_std_N=mos_std_N),
            own_offset=offset,
        )


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

    All in float32; they were computed in float64, so that equal rewards are equal bit for bit.
    """

    total_BG: torch.Tensor
    terms: dict[str, torch.Tensor]
    weights: dict[str, float]


@runtime_checkable
class ComparesImages(Protocol):
    """What a reward term is, too, if it needs several images at once."""

    @property
    def min_images(self) -> int:
        """The fewest it can be made of, over all processes."""
        ...


class Rubric:
    """The weighted sum of named reward terms.

    Raises:
        ConfigError: there is no term, an entry is not a reward term, or a weight is below 0.
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
        self._weights = {name: not_negative(f"reward.{name}.weight", term.weight) for name, term in terms.items()}

    @property
    def min_images(self) -> int:
        """The fewest images, over all processes, that every term can be made of."""
        return max((term.min_images for term in self._terms.values() if isinstance(term, ComparesImages)), default=1)

    def rewards(self, inputs: RewardInputs, *, step: int) -> Rewards:
        """Return the total and the breakdown at this training step.

        Raises:
            ConfigError: a term returns another shape than (B, G), or a value that is not finite.
        """
        terms = {name: _checked(name, term.reward(inputs), inputs) for name, term in self._terms.items()}
        weights = {name: weight.value(step) for name, weight in self._weights.items()}
        total_BG = torch.stack([weights[name] * terms[name] for name in terms]).sum(0)
        return Rewards(
            total_BG=total_BG.float(), terms={name: term.float() for name, term in terms.items()}, weights=weights
        )


def _checked(name: str, reward_BG: torch.Tensor, inputs: RewardInputs) -> torch.Tensor:
    expected = tuple(inputs.ratings_BG.shape)
    if tuple(reward_BG.shape) != expected:
        raise ConfigError(f"reward term {name!r} returned shape {tuple(reward_BG.shape)}; it must be {expected}")
    if not reward_BG.isfinite().all():
        raise ConfigError(f"reward term {name!r} returned a value that is not finite; give such responses 0")
    return reward_BG.to(inputs.ratings_BG.dtype)


def _rating_or_nan(rating: float | ParseFailure) -> float:
    return math.nan if isinstance(rating, ParseFailure) else rating

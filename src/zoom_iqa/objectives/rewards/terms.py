"""The reward terms of Zoom-IQA: format, score, rank. Each is the formula of rewards.py with its settings."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.rewards.formulas import format_reward, rank_reward_against, score_reward
from zoom_iqa.objectives.rewards.rubric import RewardInputs
from zoom_iqa.objectives.schedules import Schedule, as_schedule

Preference = Literal["ordinal", "thurstone"]
"""How a pair of MOS becomes a human preference: by order, or by Thurstone's model with the MOS deviations."""


class FormatTerm:
    """1 for a response all of whose turns are well formed, else 0."""

    def __init__(self, *, weight: float | Schedule) -> None:
        self.weight = as_schedule("reward.format.weight", weight)

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return 0 or 1 for each response, shape (B, G)."""
        return format_reward(inputs.well_formed_BG)


class ScoreTerm:
    """Closeness of the rating to the MOS; ``sigma`` is the tolerance on the 1-5 scale."""

    def __init__(self, *, weight: float | Schedule, sigma: float) -> None:
        if not sigma > 0:
            raise ConfigError(f"reward.score.sigma={sigma} must be positive")
        self.weight = as_schedule("reward.score.weight", weight)
        self._sigma = sigma

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G)."""
        return score_reward(inputs.ratings_BG, inputs.mos_B, sigma=self._sigma)


class RankTerm:
    """Agreement with the human order of the batch's images, over all processes.

    Raises:
        ConfigError: when asked for a reward with fewer than two images, or without the deviations Thurstone needs.
    """

    min_images = 2

    def __init__(self, *, weight: float | Schedule, eps: float, preference: Preference) -> None:
        if not eps > 0:
            raise ConfigError(f"reward.rank.eps={eps} must be positive")
        if preference not in get_args(Preference):
            raise ConfigError(f"reward.rank.preference={preference!r}; choose one of {', '.join(get_args(Preference))}")
        self.weight = as_schedule("reward.rank.weight", weight)
        self._eps = eps
        self._thurstone = preference == "thurstone"

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G)."""
        return rank_reward_against(
            inputs.ratings_BG,
            inputs.statistics,
            own_offset=inputs.own_offset,
            eps=self._eps,
            thurstone=self._thurstone,
        )

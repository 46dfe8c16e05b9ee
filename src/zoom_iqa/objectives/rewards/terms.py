"""The reward terms of Zoom-IQA: format, score, rank. Each is a formula of formulas.py with its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_one_of, require_positive
from zoom_iqa.base.targets import Mos
from zoom_iqa.base.types import Example
from zoom_iqa.objectives.rewards.formulas import format_reward, rank_reward_against, score_reward
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.schedules import Schedule, as_schedule

Preference = Literal["ordinal", "thurstone"]
"""How a pair of MOS becomes a human preference: by order, or by Thurstone's model with the MOS deviations."""

FEW_IMAGES = ((2, 0.18), (4, 0.42), (8, 0.50), (16, 0.56))
"""Images of a step, and the correlation that the rank reward's advantage then has with minus the error of the rating:
simulated, 8 ratings an image that err by an offset (SD 0.3) and noise (SD 0.5) on MOS of SD 0.8."""
ENOUGH_IMAGES = 8


def require_scores(name: str, examples: Sequence[Example]) -> None:
    """Pass labels that are opinion scores; ``name`` is the key of the reward that reads them.

    Raises:
        ConfigError: a label is none.
    """
    others = [example.name for example in examples if not isinstance(example.target, Mos)]
    if others:
        raise ConfigError(
            f"{name} needs opinion scores, and {len(others)} of {len(examples)} labels are none (the first is "
            f"{others[0]}); use reward=compare for preferences between two images, or labels with scores"
        )


class FormatTerm:
    """1 for a response all of whose turns are well formed, else 0."""

    def __init__(self, *, weight: float | Schedule) -> None:
        self.weight = as_schedule("reward.format.weight", weight)

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return 0 or 1 for each response, shape (B, G)."""
        return format_reward(inputs.well_formed_BG)


class OfScores:
    """A part of reward terms that compare ratings with opinion scores; ``key`` is the term's in the config."""

    key: str

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Refuse labels that are no opinion scores.

        Raises:
            ConfigError: a label is none.
        """
        require_scores(self.key, examples)


class ScoreTerm(OfScores):
    """Closeness of the rating to the MOS; ``sigma`` is the tolerance on the 1-5 scale."""

    key = "reward.score"

    def __init__(self, *, weight: float | Schedule, sigma: float) -> None:
        require_positive("reward.score.sigma", sigma)
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
        require_positive("reward.rank.eps", eps)
        require_one_of("reward.rank.preference", preference, get_args(Preference))
        self.weight = as_schedule("reward.rank.weight", weight)
        self._eps = eps
        self._thurstone = preference == "thurstone"

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Refuse labels that are no opinion scores, or lack the deviations Thurstone's model needs.

        Raises:
            ConfigError: a label is no opinion score, or the preference is Thurstone's and a label has no deviation.
        """
        require_scores("reward.rank", examples)
        lacking = [example.name for example in examples if example.mos_std is None] if self._thurstone else []
        if lacking:
            raise ConfigError(
                f"reward.rank.preference=thurstone needs the deviation of every score, and {len(lacking)} of "
                f"{len(examples)} labels lack it (the first is {lacking[0]}); set reward.rank.preference=ordinal, "
                "or use labels with deviations"
            )

    def cost_of_few(self, images: int) -> str | None:
        """How loosely the term's advantage follows the error with so few images."""
        if images >= ENOUGH_IMAGES:
            return None
        correlation = max(pair for pair in FEW_IMAGES if pair[0] <= images)[1]
        table = ", ".join(f"{value:.2f} at {count}" for count, value in FEW_IMAGES)
        return (
            f"reward.rank compares {images} images a step: its advantage then follows the error of a rating with a "
            f"correlation of about {correlation:.2f} ({table}; simulated)"
        )

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G)."""
        return rank_reward_against(
            inputs.ratings_BG,
            inputs.statistics,
            own_offset=inputs.own_offset,
            eps=self._eps,
            thurstone=self._thurstone,
        )

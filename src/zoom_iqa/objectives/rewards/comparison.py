"""The reward of a comparison: whether the choice is the one that people made.

After the comparison that Q-Insight (arXiv 2503.22679) and Q-DeepSight (arXiv 2604.16858) train and are judged by: 1 for
a match and 1 for the form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.targets import Preference
from zoom_iqa.base.types import Example
from zoom_iqa.metrics.choices import matches
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.schedules import Schedule, as_schedule


class MatchTerm:
    """1 for the choice that people made, 0 for another one and for an answer that cannot be read."""

    def __init__(self, *, weight: float | Schedule) -> None:
        self.weight = as_schedule("reward.match.weight", weight)

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Refuse labels that are no preferences.

        Raises:
            ConfigError: a label is none.
        """
        others = [example.name for example in examples if not isinstance(example.target, Preference)]
        if others:
            raise ConfigError(
                f"reward.match needs preferences between images, and {len(others)} of {len(examples)} labels are none "
                f"(the first is {others[0]}); use pairs, such as data=embedded_pairs, or another reward"
            )

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return 0 or 1 for each response, shape (B, G)."""
        return torch.tensor([[matches(record) for record in group] for group in inputs.records]).double()

"""A reward term that comes to NaN for some images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.schedules import as_schedule


class NotFiniteFor:
    """NaN for the images whose ids are given, or for all; 1 for others."""

    def __init__(self, *, weight: float, ids: Sequence[str] | None) -> None:
        self.weight = as_schedule("reward.broken.weight", weight)
        self._ids = None if ids is None else set(ids)

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        ids = [group[0].example.id for group in inputs.records]
        rows = [torch.nan if self._ids is None or one in self._ids else 1.0 for one in ids]
        return torch.tensor(rows)[:, None].expand(inputs.shape)


class NotFiniteForFirst:
    """NaN for the first image of a batch; 1 for others."""

    def __init__(self, *, weight: float) -> None:
        self.weight = as_schedule("reward.broken.weight", weight)

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        found = torch.ones(inputs.shape)
        found[0] = torch.nan
        return found

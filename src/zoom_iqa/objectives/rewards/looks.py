"""The reward of looking closer.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoom_iqa.base.ranges import require_fraction, require_not_negative, require_whole
from zoom_iqa.metrics.evidence import looks_of
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.rewards.terms import OfScores
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.tasks.task import Given


class LookBonus(OfScores):
    """A bonus for looking, only where the answer is right, and only while few of its group look.

    1 - share / ``bound``, where ``share`` is the share of the group's responses that looked, for a response that looked
    at least once and at most ``most`` times and whose rating is within ``tolerance`` of the score; else 0. So looking
    alone earns nothing, and nothing more once a ``bound`` of the group looks. The bound of the rate is after
    Pixel-Reasoner (arXiv 2505.15966); that a wrong answer earns nothing is ours.

    Raises:
        ConfigError: a value is out of range.
    """

    key = "reward.look"
    needs: frozenset[Given] = frozenset({"looks"})

    def __init__(self, *, weight: float | Schedule, tolerance: float, bound: float, most: int) -> None:
        require_not_negative("reward.look.tolerance", tolerance)
        require_fraction("reward.look.bound", bound)
        require_whole("reward.look.most", most, least=1)
        self.weight = as_schedule("reward.look.weight", weight)
        self._tolerance, self._bound, self._most = tolerance, bound, most

    def reward(self, inputs: RewardInputs) -> Tensor:
        """Return a value in [0, 1) for each response, shape (B, G)."""
        looks_BG = torch.tensor([[len(looks_of(record)) for record in group] for group in inputs.records])
        share_B1 = (looks_BG > 0).double().mean(1, keepdim=True)
        right_BG = (inputs.ratings_BG - inputs.mos_B[:, None]).abs() <= self._tolerance  # false without a rating
        paid_BG = right_BG & (looks_BG > 0) & (looks_BG <= self._most)
        return paid_BG * (1 - share_B1 / self._bound).clamp(min=0.0)

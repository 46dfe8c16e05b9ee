"""The reward that a judge's grades make: how well a response reasons, beside how well it rates.

Ours; the criteria are those of the judge of Zoom-IQA (arXiv 2601.02918, Table 7).

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative
from zoom_iqa.base.records import Record
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.tasks.grades import CRITERIA, HIGHEST, JUDGE, LOWEST, read_grades


class JudgedTerm:
    """The weighted mean of a response's grades, each brought from 1-9 to 0-1.

    A response that says nothing there is to grade has 0. One about which the judge gave no grades that can be read
    (refused, cut, silent, out of form) has no such term; nor has a record that no judge was asked about.

    Raises:
        ConfigError: the weights of the criteria are not those of all criteria, below 0, or all 0.
    """

    probe = JUDGE

    def __init__(self, *, weight: float | Schedule, criteria: Mapping[str, float]) -> None:
        self.weight = as_schedule("reward.judge.weight", weight)
        if set(criteria) != set(CRITERIA):
            raise ConfigError(f"reward.judge.criteria: {', '.join(criteria)} must be {', '.join(CRITERIA)}")
        for name, value in criteria.items():
            require_not_negative(f"reward.judge.criteria.{name}", value)
        total = sum(criteria.values())
        if not total > 0:
            raise ConfigError("reward.judge.criteria are all 0: give one a weight, or drop the term with ~reward.judge")
        self._shares = {name: value / total for name, value in criteria.items()}

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G); 0 also where there is no term."""
        values = [[self._value(record) or 0.0 for record in group] for group in inputs.records]
        return torch.tensor(values, dtype=torch.float64)

    def present(self, inputs: RewardInputs) -> torch.Tensor:
        """Responses that have the term, shape (B, G)."""
        return torch.tensor([[self._value(record) is not None for record in group] for group in inputs.records])

    def _value(self, record: Record) -> float | None:
        if JUDGE not in record.probes:
            return None
        if not record.probes[JUDGE]:
            return 0.0
        answer = record.probes[JUDGE][0].steps[-1]
        grades = read_grades(answer.text, answer.finish)
        if isinstance(grades, str):
            return None
        return sum(self._shares[name] * (grades[name] - LOWEST) / (HIGHEST - LOWEST) for name in CRITERIA)

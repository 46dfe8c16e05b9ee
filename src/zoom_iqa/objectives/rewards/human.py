"""The reward terms of H-IQA (arXiv 2512.16484): accuracy, self-consistency, and the likeness to what people wrote.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_one_of, require_positive, require_share
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Example
from zoom_iqa.metrics.rouge import RougeMeasure, rouge1
from zoom_iqa.objectives.rewards.formulas import raised_cosine_reward
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.rewards.terms import OfScores
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.tasks.description import description

ComparedText = Literal["completion", "caption", "caption_think"]
"""Of a response: all that the last turn says, as the authors compare it, or a part without tags and answer."""


class AccuracyTerm(OfScores):
    """Closeness of the rating to the MOS: a raised cosine that ends at ``width`` on the 1-5 scale."""

    key = "reward.accuracy"

    def __init__(self, *, weight: float | Schedule, width: float) -> None:
        self.weight = as_schedule("reward.accuracy.weight", weight)
        require_positive("reward.accuracy.width", width)
        self._width = width

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G)."""
        return raised_cosine_reward(inputs.ratings_BG, inputs.mos_B, width=self._width)


class SelfConsistencyTerm(OfScores):
    """Closeness to the same MOS of the rating that the policy gives from its own description alone.

    0 for a response without a description, or with an answer to the probe that cannot be read.
    """

    key = "reward.self_consistency"

    def __init__(self, *, weight: float | Schedule, width: float, probe: str) -> None:
        self.weight = as_schedule("reward.self_consistency.weight", weight)
        self.probe = probe
        require_positive("reward.self_consistency.width", width)
        self._width = width

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G)."""
        ratings = [[_probed(record, self.probe) for record in group] for group in inputs.records]
        return raised_cosine_reward(torch.tensor(ratings, dtype=torch.float64), inputs.mos_B, width=self._width)


class HumanTextTerm:
    """ROUGE-1 of the response against what people wrote about the image, at least ``floor``.

    ``measure`` precision is the authors' and rewards short texts: watch ``rollout/tokens_per_turn``. An image about
    which nobody wrote has no such term, rather than a constant.
    """

    def __init__(self, *, weight: float | Schedule, measure: RougeMeasure, floor: float, text: ComparedText) -> None:
        require_one_of("reward.human.measure", measure, get_args(RougeMeasure))
        require_one_of("reward.human.text", text, get_args(ComparedText))
        require_share("reward.human.floor", floor)
        self.weight = as_schedule("reward.human.weight", weight)
        self._measure, self._floor, self._text = measure, floor, text

    def present(self, inputs: RewardInputs) -> torch.Tensor:
        """Responses about images that people wrote about, shape (B, G)."""
        return torch.tensor([[one.example.human_text is not None for one in group] for group in inputs.records])

    def check_some(self, examples: Sequence[Example]) -> None:
        """Refuse images none of which people wrote about.

        Raises:
            ConfigError: there is no text.
        """
        if not any(example.human_text for example in examples):
            raise ConfigError(
                f"reward.human compares with what people wrote, and of {len(examples)} images of "
                f"{examples[0].dataset} none has a text; set data.references, or drop the term with ~reward.human"
            )

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        """Return a value in [0, 1] for each response, shape (B, G); 0 where there is no text to compare with."""
        values = [[self._likeness(record) for record in group] for group in inputs.records]
        return torch.tensor(values, dtype=torch.float64)

    def _likeness(self, record: Record) -> float:
        reference = record.example.human_text
        if reference is None:
            return 0.0
        said = record.steps[-1].text
        words = said if self._text == "completion" else description([said], text=self._text)
        found = rouge1(words or "", reference)
        return max(self._floor, float(getattr(found, self._measure)))


def _probed(record: Record, probe: str) -> float:
    """The rating of a probe's (first) answer, NaN where there is none."""
    answers = record.probes.get(probe, ())
    rating = answers[0].rating if answers else None
    return math.nan if rating is None else rating

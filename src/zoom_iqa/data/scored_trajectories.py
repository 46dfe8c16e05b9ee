"""Supervised trajectories for images of which nothing is known but their score, as in most sets of real photographs.

The four sections say what follows from the score: how strong the damage is and how good the whole is, never of which
kind or where. Now and then a closer look is asked for, anywhere, so that second turns stay known; what the crop shows
is taken to be as good as the whole. As in data/rationales.py, the first score of such a trajectory is a guess drawn to
the middle of the scale, the second the known one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from zoom_iqa.data.datasets import BenchmarkImages
from zoom_iqa.data.defects import PRISTINE, Defect
from zoom_iqa.data.rationales import Rationale, Region
from zoom_iqa.data.trajectories import supervised_turns
from zoom_iqa.data.trajectory_sets import Trajectory
from zoom_iqa.data.wording import Clauses, Facts, FullWording, TerseWording, Wording
from zoom_iqa.errors import ConfigError
from zoom_iqa.protocol.answer import RATING_MAX, RATING_MIN
from zoom_iqa.protocol.prompts import PromptSet
from zoom_iqa.types import ImageItem

DAMAGE = Defect("damage", "loss of quality", "clean detail")
SEVERITIES = ("severe", "strong", "clear", "mild")
"""By the nearest whole score from 1; at 5 there is no defect to speak of."""

PLACES: dict[str, Region] = {
    "upper left": (0.0, 0.0, 0.5, 0.5),
    "upper right": (0.5, 0.0, 1.0, 0.5),
    "centre": (0.2, 0.2, 0.8, 0.8),
    "lower left": (0.0, 0.5, 0.5, 1.0),
    "lower right": (0.5, 0.5, 1.0, 1.0),
}


class ScoreRationales:
    """Writes a trajectory from a score on 1-5 alone.

    ``crop_rate`` in [0, 1]: how often a closer look is asked for; ``guess_pull`` in [0, 1]: how far the score before it
    is drawn to the middle; ``guess_spread``: the standard deviation of its error, in MOS units.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(self, *, prompts: PromptSet, crop_rate: float, guess_pull: float, guess_spread: float) -> None:
        for name, value in (("crop_rate", crop_rate), ("guess_pull", guess_pull)):
            if not 0 <= value <= 1:
                raise ConfigError(f"writer.{name}={value} must be from 0 to 1")
        if guess_spread < 0:
            raise ConfigError(f"writer.guess_spread={guess_spread} must be at least 0")
        self._prompts = prompts
        self._wording: Wording = TerseWording() if prompts.terse else FullWording()
        self._crop_rate, self._guess_pull, self._guess_spread = crop_rate, guess_pull, guess_spread

    def write(self, mos: float, rng: np.random.Generator) -> Rationale:
        """One trajectory; equal scores and equal generator states give equal texts."""
        place = str(rng.choice(list(PLACES))) if rng.random() < self._crop_rate else None
        facts = self._facts(mos, place, rng)
        if place is None:
            return Rationale(self._output(1, self._wording.final(facts, rng), None, facts.rating), None)
        return Rationale(
            self._output(1, self._wording.doubt(facts, rng), PLACES[place], facts.guess),
            self._output(2, self._wording.settled(facts, rng), None, facts.rating),
        )

    def _facts(self, mos: float, place: str | None, rng: np.random.Generator) -> Facts:
        middle = (RATING_MIN + RATING_MAX) / 2
        error = self._guess_pull * (middle - mos) + self._guess_spread * rng.standard_normal()
        flawless = mos >= RATING_MAX - 0.5
        return Facts(
            defect=PRISTINE if flawless else DAMAGE,
            pristine=flawless,
            severity="faint" if flawless else SEVERITIES[int(mos + 0.5) - 1],
            place="frame" if place is None else place,
            local=False,
            guess=_rating(mos + error),
            rating=_rating(mos),
        )

    def _output(self, turn: int, clauses: Clauses, box: Region | None, rating: str) -> str:
        sections = zip(self._prompts.sections(turn), clauses, strict=True)
        thought = "\n".join(f"{name}: {clause}" for name, clause in sections)
        corners = "0, 0, 0, 0" if box is None else ", ".join(f"{edge:.{self._wording.decimals}f}" for edge in box)
        tool = "final" if box is None else "crop"
        return (
            f'<think>{thought}</think><answer>{{"bbox_2d": [{corners}], "rating": {rating}, "tool": "{tool}"}}</answer>'
        )


class ScoredTrajectories(Dataset[Trajectory]):
    """A trajectory for each labelled image; question and wording follow from (seed, index)."""

    def __init__(self, *, images: BenchmarkImages, writer: ScoreRationales, prompts: PromptSet, seed: int) -> None:
        self._images, self._writer, self._prompts, self._seed = images, writer, prompts, seed

    def __len__(self) -> int:
        return len(self._images)

    def items(self) -> Sequence[ImageItem]:
        """The labels in order."""
        return self._images.items()

    def __getitem__(self, index: int) -> Trajectory:
        sample = self._images[index]
        rng = np.random.default_rng((self._seed, index))
        texts = self._writer.write(sample.item.mos, rng).texts
        question = self._prompts.questions[int(rng.integers(len(self._prompts.questions)))]
        turns = supervised_turns(
            item=sample.item, image=sample.image, question=question, prompts=self._prompts, texts=texts
        )
        return Trajectory(sample.item, turns)


def _rating(mos: float) -> str:
    return f"{min(RATING_MAX, max(RATING_MIN, mos)):.2f}"

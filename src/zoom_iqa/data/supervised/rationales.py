"""Writes what a good trajectory says, from a distortion, a severity, a region and a score that are known.

The four sections follow GR-IQA, the rationale data of Zoom-IQA (arXiv 2601.02918): summary, directions, issues,
decision. A defect in one region asks for a crop around it; a faint one, or none, sometimes asks for a crop to be sure,
a clear one seldom: second turns must know every score, for a policy also crops where it is wrong about what it saw.
The first score of a trajectory that crops is a guess made before looking closer, the second is the known one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.defects import DEFECTS, PRISTINE, SEVERITIES, Defect
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.ranges import require_count_or_none, require_not_negative, require_share
from zoom_iqa.base.types import Region, Truth
from zoom_iqa.data.supervised.boxes import place_of, shown_as, widened, written
from zoom_iqa.data.supervised.wording import Clauses, Facts, FullWording, TerseWording, Wording
from zoom_iqa.tasks.answer import RATING_MAX, RATING_MIN
from zoom_iqa.tasks.prompts import PromptSet


@dataclass(frozen=True)
class Rationale:
    """The texts of one trajectory; ``turn2`` is None where the first turn is final."""

    turn1: str
    turn2: str | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The outputs in order, one or two."""
        return (self.turn1,) if self.turn2 is None else (self.turn1, self.turn2)


class RationaleWriter:
    """Writes trajectories for one prompt set; a terse set gets single clauses and coordinates of one decimal.

    ``doubt_level``: a defect up to this level, or none, leaves doubt and is cropped with ``doubt_crop_rate`` in [0, 1];
    a clear defect all over the image with ``clear_crop_rate``.
    ``guess_pull`` in [0, 1]: how far the first score of a trajectory that crops is drawn to the middle of the scale;
    ``guess_spread``: the standard deviation of its error, in MOS units. ``box_jitter``: the largest outward shift of a
    box's edges, as a fraction of the image's sides; ``box_decimals``: the decimals of its coordinates, None those of
    the prompt set.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self,
        *,
        prompts: PromptSet,
        doubt_level: float,
        doubt_crop_rate: float,
        clear_crop_rate: float,
        guess_pull: float,
        guess_spread: float,
        box_jitter: float,
        box_decimals: int | None = None,
    ) -> None:
        require_share("data.trajectories.writer.doubt_crop_rate", doubt_crop_rate)
        require_share("data.trajectories.writer.clear_crop_rate", clear_crop_rate)
        require_share("data.trajectories.writer.guess_pull", guess_pull)
        require_share("data.trajectories.writer.box_jitter", box_jitter)
        require_not_negative("data.trajectories.writer.doubt_level", doubt_level)
        require_not_negative("data.trajectories.writer.guess_spread", guess_spread)
        require_count_or_none(
            "data.trajectories.writer.box_decimals", box_decimals, none_means="takes those of the wording"
        )
        self._prompts = prompts
        self._wording: Wording = TerseWording() if prompts.terse else FullWording()
        self._decimals = self._wording.decimals if box_decimals is None else box_decimals
        self._doubt_level = doubt_level
        self._doubt_crop_rate = doubt_crop_rate
        self._clear_crop_rate = clear_crop_rate
        self._guess_pull = guess_pull
        self._guess_spread = guess_spread
        self._box_jitter = box_jitter

    def write(self, truth: Truth, mos: float, rng: np.random.Generator) -> Rationale:
        """One trajectory about an image of score ``mos`` (1-5); equal truths and generator states give equal texts.

        Raises:
            DataError: ``truth.distortion`` has no words in ``DEFECTS``.
        """
        doubtful = truth.distortion is None or truth.level <= self._doubt_level
        rate = self._doubt_crop_rate if doubtful else self._clear_crop_rate
        crops = truth.region is not None or rng.random() < rate
        box = self._box(truth.region, rng) if crops else None
        facts = self._facts(truth, mos, truth.region or box, rng)
        if box is None:
            return Rationale(self._written(1, self._wording.final(facts, rng), None, facts.rating), None)
        return Rationale(
            self._written(1, self._wording.doubt(facts, rng), box, facts.guess),
            self._written(2, self._wording.settled(facts, rng), None, facts.rating),
        )

    def _facts(self, truth: Truth, mos: float, where: Region | None, rng: np.random.Generator) -> Facts:
        middle = (RATING_MIN + RATING_MAX) / 2
        error = self._guess_pull * (middle - mos) + self._guess_spread * rng.standard_normal()
        return Facts(
            defect=defect_of(truth.distortion),
            pristine=truth.distortion is None,
            severity=severity_of(truth),
            place="frame" if where is None else place_of(where),
            local=truth.region is not None,
            guess=written_rating(mos + error),
            rating=written_rating(mos),
        )

    def _box(self, region: Region | None, rng: np.random.Generator) -> Region:
        """The region with its edges moved outwards; where there is none, anywhere, with half the image's sides."""
        if region is None:
            x, y = rng.uniform(0.0, 0.5, size=2)
            region = (x, y, x + 0.5, y + 0.5)
        return written(widened(region, by=self._box_jitter, rng=rng), decimals=self._decimals)

    def _written(self, turn: int, clauses: Clauses, box: Region | None, rating: str) -> str:
        sections = self._prompts.sections(turn)
        return written_turn(sections, clauses, box=box, rating=rating, decimals=self._decimals)


def defect_of(distortion: str | None) -> Defect:
    """The words for a distortion, or for none.

    Raises:
        DataError: it has no words.
    """
    if distortion is None:
        return PRISTINE
    if distortion not in DEFECTS:
        raise DataError(f"distortion {distortion!r} has no words; add it to DEFECTS in base/defects.py")
    return DEFECTS[distortion]


def severity_of(truth: Truth) -> str:
    """The word for a truth's level."""
    return SEVERITIES[int(np.clip(round(truth.level), 1, 5)) - 1]


def written_turn(sections: Sequence[str], clauses: Clauses, *, box: Region | None, rating: str, decimals: int) -> str:
    """The text of a turn: its labelled paragraphs, then the answer, which asks for ``box`` or is final."""
    thought = "\n".join(f"{name}: {clause}" for name, clause in zip(sections, clauses, strict=True))
    corners = "0, 0, 0, 0" if box is None else shown_as(box, decimals=decimals)
    tool = "final" if box is None else "crop"
    answer = f'{{"bbox_2d": [{corners}], "rating": {rating}, "tool": "{tool}"}}'
    return f"<think>{thought}</think><answer>{answer}</answer>"


def written_rating(mos: float) -> str:
    """A score as an answer writes it, within 1-5."""
    return f"{min(RATING_MAX, max(RATING_MIN, mos)):.2f}"

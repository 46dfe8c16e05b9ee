"""Puts a zoom trajectory into words: one final turn, or a first one in doubt with a guessed score and a settled second.

The first score of a trajectory that crops is a guess made before looking closer, the second is the known one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.defects import PRISTINE, Defect
from zoom_iqa.base.ranges import require_count_or_none, require_not_negative, require_share
from zoom_iqa.base.targets import RATING_MAX, RATING_MIDDLE, RATING_MIN
from zoom_iqa.base.types import Region
from zoom_iqa.data.supervised.boxes import shown_as
from zoom_iqa.data.supervised.wording import Clauses, Facts, FullWording, TerseWording, Wording
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


class TwoTurns:
    """Words for one prompt set; a terse set gets single clauses and coordinates of one decimal.

    ``guess_pull`` in [0, 1]: how far the first score of a trajectory that crops is drawn to the middle of the scale;
    ``guess_spread``: the standard deviation of its error, in MOS units. ``box_decimals``: those of a box's coordinates,
    None takes those of the prompt set.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self, *, prompts: PromptSet, guess_pull: float, guess_spread: float, box_decimals: int | None = None
    ) -> None:
        require_share("data.trajectories.writer.guess_pull", guess_pull)
        require_not_negative("data.trajectories.writer.guess_spread", guess_spread)
        require_count_or_none(
            "data.trajectories.writer.box_decimals", box_decimals, none_means="takes those of the wording"
        )
        self._prompts = prompts
        self._wording: Wording = TerseWording() if prompts.terse else FullWording()
        self._guess_pull, self._guess_spread = guess_pull, guess_spread
        self.decimals = self._wording.decimals if box_decimals is None else box_decimals

    def write(
        self, *, mos: float, defect: Defect, severity: str, place: str, box: Region | None, rng: np.random.Generator
    ) -> Rationale:
        """The trajectory of an image of score ``mos`` (1-5) that crops ``box``, or does not crop."""
        facts = Facts(
            defect=defect,
            pristine=defect is PRISTINE,
            severity=severity,
            place=place,
            guess=written_rating(mos + self._guess_error(mos, rng)),
            rating=written_rating(mos),
        )
        if box is None:
            return Rationale(self._turn(1, self._wording.final(facts, rng), None, facts.rating), None)
        return Rationale(
            self._turn(1, self._wording.doubt(facts, rng), box, facts.guess),
            self._turn(2, self._wording.settled(facts, rng), None, facts.rating),
        )

    def _guess_error(self, mos: float, rng: np.random.Generator) -> float:
        return self._guess_pull * (RATING_MIDDLE - mos) + self._guess_spread * rng.standard_normal()

    def _turn(self, turn: int, clauses: Clauses, box: Region | None, rating: str) -> str:
        return _written(self._prompts.sections(turn), clauses, box=box, rating=rating, decimals=self.decimals)


def written_rating(mos: float) -> str:
    """A score as an answer writes it, within 1-5."""
    return f"{min(RATING_MAX, max(RATING_MIN, mos)):.2f}"


def _written(sections: Sequence[str], clauses: Clauses, *, box: Region | None, rating: str, decimals: int) -> str:
    """The text of a turn: its labelled paragraphs, then the answer, which asks for ``box`` or is final."""
    thought = "\n".join(f"{name}: {clause}" for name, clause in zip(sections, clauses, strict=True))
    corners = "0, 0, 0, 0" if box is None else shown_as(box, decimals=decimals)
    tool = "final" if box is None else "crop"
    answer = f'{{"bbox_2d": [{corners}], "rating": {rating}, "tool": "{tool}"}}'
    return f"<think>{thought}</think><answer>{answer}</answer>"

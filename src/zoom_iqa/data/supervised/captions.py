"""Writes what a good answer of task=caption_reason says, from a distortion, a severity, a region and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.defects import DEFECTS, PRISTINE, Defect
from zoom_iqa.base.types import Truth
from zoom_iqa.data.supervised.boxes import place_of
from zoom_iqa.data.supervised.rationales import defect_of, severity_of
from zoom_iqa.data.supervised.two_turns import written_rating
from zoom_iqa.tasks.caption_reason import CaptionReasonPrompts


@dataclass(frozen=True)
class WrittenCaption:
    """The text of one answer."""

    text: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The one turn there is."""
        return (self.text,)


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """The facts of a caption; ``place`` is empty where the defect is everywhere, ``merit`` is the ideal of another."""

    defect: Defect
    pristine: bool
    severity: str
    place: str
    merit: str
    rating: str


class CaptionWriter:
    """Writes captions, thoughts and answers for one prompt set; a terse set gets single clauses.

    Neither a rating nor a grade word stands in a caption, so that a reader of it alone has to judge.
    """

    def __init__(self, *, prompts: CaptionReasonPrompts) -> None:
        self._terse = prompts.terse

    def write(self, truth: Truth, mos: float, rng: np.random.Generator) -> WrittenCaption:
        """One answer about an image of score ``mos`` (1-5); equal truths and generator states give equal texts.

        Raises:
            DataError: ``truth.distortion`` has no words.
        """
        defect = defect_of(truth.distortion)
        merits = [other.ideal for other in (*DEFECTS.values(), PRISTINE) if other.ideal != defect.ideal]
        facts = _Facts(
            defect=defect,
            pristine=truth.distortion is None,
            severity=severity_of(truth),
            place="" if truth.region is None else place_of(truth.region),
            merit=defect.ideal if truth.distortion is None else _pick(merits, rng),
            rating=written_rating(mos),
        )
        caption, thought = _terse(facts) if self._terse else _full(facts, rng)
        return WrittenCaption(
            f'<caption>{caption}</caption><think>{thought}</think><answer>{{"rating": {facts.rating}}}</answer>'
        )


def _terse(facts: _Facts) -> tuple[str, str]:
    if facts.pristine:
        return f"Right: {facts.merit}. Wrong: nothing.", "no defect"
    where = f" {facts.place}" if facts.place else ""
    return (
        f"Right: {facts.merit}. Wrong: {facts.severity} {facts.defect.noun}{where}.",
        f"{facts.severity} {facts.defect.noun}",
    )


def _full(facts: _Facts, rng: np.random.Generator) -> tuple[str, str]:
    opening = _pick(("The subject fills the frame and is plain to see.", "A scene that somebody wanted to keep."), rng)
    praise = _pick((f"What looks right is {facts.merit}.", f"It has {facts.merit}, which helps it."), rng)
    if facts.pristine:
        blame = _pick(("Nothing disturbs the view.", "No damage shows anywhere."), rng)
        return f"{opening} {praise} {blame}", "Without damage to weigh, only the scene itself is left to judge."
    where = f"in the {facts.place}" if facts.place else "all over the frame"
    blame = _pick(
        (
            f"What disturbs is {facts.severity} {facts.defect.noun}: {facts.defect.phrase} {where}.",
            f"There is {facts.severity} {facts.defect.noun} {where}, seen as {facts.defect.phrase}.",
        ),
        rng,
    )
    return f"{opening} {praise} {blame}", f"The {facts.defect.noun} is {facts.severity} and outweighs {facts.merit}."


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]

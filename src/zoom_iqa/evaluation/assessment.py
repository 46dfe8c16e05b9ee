"""The judgement of one image as people read it: ratings, paragraphs, and every closer look with what it changed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoom_iqa.base.errors import FailureReason
from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.regions import fractions_of
from zoom_iqa.base.types import Box, Region, Step
from zoom_iqa.evaluation.figures import ImageRatings
from zoom_iqa.tasks.format import paragraphs
from zoom_iqa.tasks.verdict import word_for


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Mean and standard deviation of the ratings that a policy may give an image, over digits and over answers."""

    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class CloserLook:
    """A crop: its box in pixels of the image as it was looked at, what it was asked for (None where nobody said), and
    the ratings given before and after it.
    """

    box: Box
    region: Region
    sought: str | None
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """All that a policy said of one image.

    ``source`` is the image as it was named; ``size`` its width and height in pixels as it was looked at, which may be
    less than the file's. ``records`` are the answers. ``sections`` are the labels of each turn's paragraphs by role
    (summary, directions, issues, decision); further turns have the last labels.
    """

    source: str
    size: tuple[int, int]
    records: tuple[Record, ...]
    expected: Expected | None
    sections: Sequence[Sequence[str]] = field(repr=False)

    @property
    def rating(self) -> float | None:
        """The mean of the ratings that could be read, on 1-5; None where ``failure`` says why there is none."""
        return self._ratings.rating

    @property
    def spread(self) -> float | None:
        """The standard deviation between answers; None with fewer than two ratings."""
        return self._ratings.spread

    @property
    def verdict(self) -> str | None:
        """The rating in a word."""
        return None if self.rating is None else word_for(self.rating)

    @property
    def failure(self) -> FailureReason | None:
        """Why no rating could be read."""
        return None if self.rating is not None else self.records[0].failure

    @property
    def shown(self) -> Record:
        """The answer whose rating is nearest to the mean of all: the one that paragraphs and looks are taken from."""
        rating = self.rating
        if rating is None:
            return self.records[0]
        return min(
            (record for record in self.records if record.rating is not None),
            key=lambda record: abs((record.rating or 0.0) - rating),
        )

    @property
    def paragraphs(self) -> tuple[Mapping[str, str], ...]:
        """The labelled paragraphs of each turn of the answer shown; empty for a turn that has none."""
        turns = enumerate(self.shown.steps)
        return tuple(paragraphs(step.text, self.labels(turn)) for turn, step in turns)

    @property
    def looks(self) -> tuple[CloserLook, ...]:
        """The crops of the answer shown, in order."""
        return closer_looks(self.shown.steps, self.size)

    @property
    def evidence(self) -> tuple[Evidence, ...] | None:
        """The defects that the answer shown rests on; None where it gives none that can be read."""
        return self.shown.steps[-1].reading.evidence

    @property
    def texts(self) -> tuple[str, ...]:
        """The turns of the answer shown."""
        return tuple(step.text for step in self.shown.steps)

    def labels(self, turn: int) -> Sequence[str]:
        """The labels of a turn's paragraphs, by role."""
        return labels_of(self.sections, turn)

    @property
    def _ratings(self) -> ImageRatings:
        return ImageRatings(self.records)


@dataclass(frozen=True, kw_only=True)
class Unviewable:
    """An image that could not be read or shown, and why."""

    source: str
    reason: str


Outcome = Assessment | Unviewable


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """All that a policy has said of one image so far: the last of ``texts`` is being written.

    ``looks`` are the crops so far; the ratings after the last are still to come. ``size`` and ``sections`` are as those
    of an assessment.
    """

    size: tuple[int, int]
    texts: tuple[str, ...]
    looks: tuple[CloserLook, ...]
    sections: Sequence[Sequence[str]] = field(repr=False)

    def labels(self, turn: int) -> Sequence[str]:
        """The labels of a turn's paragraphs, by role."""
        return labels_of(self.sections, turn)


def closer_looks(steps: Sequence[Step | RecordedStep], size: tuple[int, int]) -> tuple[CloserLook, ...]:
    """The crops that these turns of an answer led to, in order, on an image of ``size``."""
    ratings = [step.reading.rating for step in steps]
    numbers = [rating if isinstance(rating, float) else None for rating in ratings] + [None]
    return tuple(
        CloserLook(
            box=look.box,
            region=fractions_of(look.box, size),
            sought=sought,
            before=numbers[turn],
            after=numbers[turn + 1],
        )
        for turn, step in enumerate(steps)
        for look, sought in zip(step.looks, _sought(step), strict=True)
        if look.box is not None
    )


def _sought(step: Step | RecordedStep) -> list[str | None]:
    """The words of the call behind each look; a look that no call of its own has brought was for nothing named."""
    calls = step.reading.calls
    return [call.look_for for call in calls] if len(calls) == len(step.looks) else [None] * len(step.looks)


def labels_of(sections: Sequence[Sequence[str]], turn: int) -> Sequence[str]:
    """The labels of a turn's paragraphs, by role; further turns have the last ones."""
    return sections[min(turn, len(sections) - 1)] if sections else ()


def expected_of(records: Sequence[Record]) -> Expected | None:
    """From the distributions that the answers' ratings were drawn from; None if none of them is known.

    The variance is that within the distributions plus that between their means.
    """
    known = [record.expected for record in records if record.expected is not None]
    if not known:
        return None
    means = [one.mean for one in known]
    within, between = statistics.fmean(one.std**2 for one in known), statistics.pvariance(means)
    return Expected(mean=statistics.fmean(means), std=math.sqrt(within + between))

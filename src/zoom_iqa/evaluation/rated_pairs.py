"""Ratings of single images as choices between two: how any policy or peer that rates compares, without being asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.types import Ending, Example, ParseFailure, Reading
from zoom_iqa.data.pairs import choice_between, image_id
from zoom_iqa.evaluation.figures import ImageRatings, ratings_by_image


class NoPairsError(DataError):
    """Rated images make no pairs, or not those that are asked for."""


def choices_of_ratings(questions: Sequence[Example], rated: Sequence[Record], *, band: float) -> list[Record]:
    """The answer to each question that an image's mean rating over its trajectories makes: the higher one's image.

    ``questions`` are pairs whose two last images are compared; similar are ratings that differ by no more than
    ``band``. A pair with an image without a readable rating has no choice, for that image's reason.

    Raises:
        NoPairsError: images of the questions were not rated; all are listed.
        DataError: two rated images share a name.
    """
    ratings = _by_name(ratings_by_image(rated))
    wanted = dict.fromkeys(name for question in questions for name in _compared(question))
    lacking = [name for name in wanted if name not in ratings]
    if lacking:
        raise NoPairsError(
            f"{len(lacking)} of {len(wanted)} images of the pairs were not rated; evaluate all of them, without limit",
            lacking,
        )
    return [_record(question, _reading(_compared(question), ratings, band)) for question in questions]


def _by_name(images: Sequence[ImageRatings]) -> dict[str, ImageRatings]:
    """Rated images by the names that pairs call them: a made image's id, or the name of a file."""
    found: dict[str, ImageRatings] = {}
    for image in images:
        example = image.trajectories[0].example
        name = example.id if example.path is None else image_id(example.images[0])
        if name in found:
            raise DataError(f"two rated images are called {name}, so that pairs cannot tell them apart; rename a file")
        found[name] = image
    return found


def _compared(question: Example) -> tuple[str, str]:
    first, second = question.images[-2:]
    return image_id(first), image_id(second)


def _reading(names: tuple[str, str], ratings: Mapping[str, ImageRatings], band: float) -> Reading:
    first, second = (ratings[name] for name in names)
    if first.rating is not None and second.rating is not None:
        choice = choice_between(first.rating, second.rating, band=band)
        return Reading(values={"choice": choice}, well_formed=True)
    unrated = first if first.rating is None else second
    reason = unrated.trajectories[0].failure
    assert reason is not None, "an image has a rating or says why not"
    return Reading(well_formed=False, failure=ParseFailure(reason, "one of the two images has no readable rating"))


def _record(question: Example, reading: Reading) -> Record:
    step = RecordedStep(text="", tokens=0, finish="stop", reading=reading)
    return Record(example=question, sample=0, steps=(step,), ending=Ending.FINAL)

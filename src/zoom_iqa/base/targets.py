"""The judgement that people gave of an example: a mean opinion score, or a preference between two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RATING_MIN, RATING_MAX = 1.0, 5.0
RATING_MIDDLE = (RATING_MIN + RATING_MAX) / 2
"""The scale of opinion scores and of ratings, 5 the best."""

Choice = Literal["Image A", "Image B", "Similar"]

CHOICES: tuple[Choice, ...] = ("Image A", "Image B", "Similar")
"""The words of a comparison's answer."""

MIRRORED: dict[Choice, Choice] = {"Image A": "Image B", "Image B": "Image A", "Similar": "Similar"}
"""The same judgement when the two images have changed places."""


@dataclass(frozen=True, kw_only=True)
class Mos:
    """A mean opinion score on 1-5 (5 best), its standard deviation where known, and the score as published.

    ``clipped`` says that the published score lies off the scale, so that the mean is one of its ends.
    """

    mean: float
    std: float | None = None
    native: float | None = None
    clipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Preference:
    """The image of two that people prefer, in the order in which they are shown.

    ``pair`` names the two whatever their order, and ``swapped`` says that they are shown in the other one: so two
    questions about one pair are known. ``kind`` names a group of pairs that has figures of its own.
    """

    choice: Choice
    pair: str | None = None
    swapped: bool = False
    kind: str | None = None

"""Pictures put in the place of a crop while every text stays: so the place that was asked for is told from others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from zoom_iqa.base.regions import WHOLE, coverage
from zoom_iqa.base.types import ImagePart, Message, Region, TextPart
from zoom_iqa.data.supervised.chains import ELSEWHERE

DRAWS = 64

Place = Callable[[Region, Region, np.random.Generator], Region | None]
"""The look that was asked for and the defect's region -> the place to show, or None where there is none."""


def asked(look: Region, defect: Region, rng: np.random.Generator) -> Region | None:
    """The place that was asked for."""
    return look


def random_place(look: Region, defect: Region, rng: np.random.Generator) -> Region | None:
    """A place of the look's size, anywhere in the image."""
    width, height = look[2] - look[0], look[3] - look[1]
    x, y = rng.uniform(0, 1 - width + 1e-9), rng.uniform(0, 1 - height + 1e-9)
    return x, y, x + width, y + height


def whole(look: Region, defect: Region, rng: np.random.Generator) -> Region | None:
    """The whole image."""
    return WHOLE


def missing(look: Region, defect: Region, rng: np.random.Generator) -> Region | None:
    """Of 64 places of the look's size the one that shows least of the defect; None where it shows too much."""
    found = [random_place(look, defect, rng) for _ in range(DRAWS)]
    least = min((place for place in found if place), key=lambda place: coverage(defect, [place]))
    return least if coverage(defect, [least]) <= ELSEWHERE else None


def region(look: Region, defect: Region, rng: np.random.Generator) -> Region | None:
    """The defect's own region."""
    return defect


PLACES: Mapping[str, Place] = {
    "asked": asked, "random place": random_place, "whole image": whole, "place that misses": missing, "region": region,
}  # fmt: skip


def shown_at(image: Image.Image, place: Region, size: tuple[int, int]) -> ImagePart:
    """The pixels of a place and none beside it, at a size in pixels (Lanczos)."""
    width, height = image.size
    left, top = min(round(place[0] * width), width - 1), min(round(place[1] * height), height - 1)
    right, bottom = max(round(place[2] * width), left + 1), max(round(place[3] * height), top + 1)
    return ImagePart.of(image.crop((left, top, right, bottom)).resize(size, resample=Image.Resampling.LANCZOS))


def with_last_images(prompt: Sequence[Message], crops: Sequence[ImagePart]) -> tuple[Message, ...]:
    """The prompt with other pictures in the place of its last ones, as many as ``crops``, in order."""
    shown = sum(isinstance(part, ImagePart) for message in prompt for part in message.parts)
    left = iter([None] * (shown - len(crops)) + list(crops))  # None keeps the picture

    def put(part: TextPart | ImagePart) -> TextPart | ImagePart:
        return (next(left) or part) if isinstance(part, ImagePart) else part

    return tuple(replace(message, parts=tuple(map(put, message.parts))) for message in prompt)

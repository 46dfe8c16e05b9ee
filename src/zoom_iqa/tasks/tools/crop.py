"""From the box an answer asks for to the pixels of the crop.

The released Zoom-IQA checkpoint was trained on crops cut by this policy, so the order of clamping, truncating and
scaling is part of the protocol, down to which sum is rounded first: a crop covers 25-75 % of the image's area where
clamping allows it, has sides of at least 28 pixels (one merged vision patch) where the image does, and lies inside it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.regions import fractions_of
from zoom_iqa.base.types import Box, ImagePart, Look

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_AREA = 0.25
MAX_AREA = 0.75
MIN_SIDE = 28
MAX_ASPECT = 200
"""Longer to shorter side of what the vision tower of Qwen2.5-VL takes."""

_FAR = 1e300  # stands for an integer beyond the range of floats; clamping brings it back to the border
Interval = tuple[float, float]


def viewable(width: int, height: int) -> bool:
    """Whether the vision tower takes an image, or a crop, of so many pixels."""
    return 0 < max(width, height) <= MAX_ASPECT * min(width, height)


def why_unviewable(images: Sequence[ImagePart]) -> str | None:
    """A message about the first of ``images`` that the vision tower does not take; None where it takes all."""
    for part in images:
        width, height = part.image.size
        if not viewable(width, height):
            return _too_thin(width, height)
    return None


@dataclass(frozen=True, eq=False)
class Crop:
    """The outcome of asking for one: the pixels to show, or none if ``look`` says why it was refused."""

    look: Look
    image: Image | None

    @staticmethod
    def of(image: Image, box: Box, *, whole: tuple[int, int]) -> Crop:
        """``image``, which shows ``box`` of one of size ``whole``; a refusal where the vision tower takes no such."""
        if not viewable(*image.size):
            return Crop(Look(refusal=_too_thin(*image.size)), None)
        return Crop(Look(box=box, region=fractions_of(box, whole)), image)


def crop_box(bbox: Any, width: int, height: int) -> Box:
    """The box of pixels to cut for ``bbox`` in an image of ``width`` x ``height`` pixels.

    ``bbox`` may be anything. Four finite numbers, not all zero, are fractions of width and height when all lie in
    [0, 1] and pixels otherwise; anything else gives the central half, as in the released code, though a session never
    asks for that. The result lies inside the image and has a positive area.

    Raises:
        ImageError: ``width`` or ``height`` is under 1.
    """
    if width < 1 or height < 1:
        raise ImageError(f"width, height = {width}, {height}; an image has at least one pixel")
    corners = _read_corners(bbox)
    if corners is None:
        left, right = _central_half(width)
        top, bottom = _central_half(height)
        return left, top, right, bottom
    x1, y1, x2, y2 = corners
    if all(0.0 <= coordinate <= 1.0 for coordinate in corners):
        x1, x2, y1, y2 = x1 * width, x2 * width, y1 * height, y2 * height
    xs: Interval = _whole_pixels(*_clamp(x1, x2, width), width)
    ys: Interval = _whole_pixels(*_clamp(y1, y2, height), height)
    xs, ys = _limit_area(xs, ys, width, height)
    left, right = _to_border(*_widen(*xs, width), width)
    top, bottom = _to_border(*_widen(*ys, height), height)
    return left, top, right, bottom


def crop_image(image: Image, bbox: Any) -> Image:
    """Cut ``crop_box(bbox, ...)`` out of ``image`` and enlarge it to fit the image's own size.

    The crop keeps its aspect ratio and becomes as large as ``image.size`` allows (Lanczos). The central half that
    stands in for an unusable box keeps its pixels.
    """
    box = crop_box(bbox, *image.size)
    return image.crop(box) if _read_corners(bbox) is None else cut(image, box)


def cut(image: Image, box: Box) -> Image:
    """The pixels of ``box`` enlarged (Lanczos) to the largest size of their aspect ratio within ``image.size``."""
    from PIL.Image import Resampling

    width, height = image.size
    x1, y1, x2, y2 = box
    crop = image.crop(box)
    ratio = (x2 - x1) / (y2 - y1)
    fits_width = ratio > width / height
    size = (width, int(width / ratio)) if fits_width else (int(height * ratio), height)
    return crop.resize((max(1, size[0]), max(1, size[1])), resample=Resampling.LANCZOS)


def _too_thin(width: int, height: int) -> str:
    return f"{width} x {height} pixels are too thin for the vision tower: sides of at most {MAX_ASPECT} to 1"


def _read_corners(bbox: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4:
        return None
    if any(isinstance(value, bool) or not isinstance(value, numbers.Real) for value in bbox):
        return None
    x1, y1, x2, y2 = (_as_float(value) for value in bbox)
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)) or x1 == y1 == x2 == y2 == 0:
        return None
    return x1, y1, x2, y2


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return _FAR if value > 0 else -_FAR


def _central_half(size: int) -> tuple[int, int]:
    start, end = size // 4, size * 3 // 4
    return start, max(end, start + 1)  # a side of one pixel has no half


def _clamp(start: float, end: float, size: int) -> Interval:
    start, end = sorted((max(0.0, min(start, size)), max(0.0, min(end, size))))
    if start == end:
        return (start, end + 1) if end < size else (start - 1, end)
    return start, end


def _whole_pixels(start: float, end: float, size: int) -> tuple[int, int]:
    first, last = int(start), min(int(end), size)  # a pixel added to 0.99... is two
    return (first, min(first + 1, size)) if first == last else (first, last)


def _limit_area(xs: Interval, ys: Interval, width: int, height: int) -> tuple[Interval, Interval]:
    area = (xs[1] - xs[0]) * (ys[1] - ys[0])
    if 0 < area < MIN_AREA * width * height:
        scale = math.sqrt(MIN_AREA * width * height / area)
    elif area > MAX_AREA * width * height:
        scale = math.sqrt(MAX_AREA * width * height / area)
    else:
        return xs, ys
    return _scale_about_centre(*xs, scale, width), _scale_about_centre(*ys, scale, height)


def _scale_about_centre(start: float, end: float, scale: float, size: int) -> Interval:
    centre, side = (start + end) / 2, (end - start) * scale
    return max(0, centre - side / 2), min(size, centre + side / 2)


def _widen(start: float, end: float, size: int) -> Interval:
    side = end - start
    if side >= MIN_SIDE:
        return start, end
    if size < MIN_SIDE:
        return 0, size
    missing = MIN_SIDE - side
    start -= math.floor(missing / 2)
    end += math.floor((missing + 1) / 2)
    if start < 0:
        end -= start
        start = 0
    if end > size:
        start -= end - size
        end = size
    return _complete(max(0, start), end, size)


def _complete(start: float, end: float, size: int) -> Interval:
    """Add the part of a pixel that widening by whole ones has left out: at the end, or where it is full before it."""
    missing = MIN_SIDE - (end - start)
    if missing <= 0:
        return start, end
    end += min(missing, size - end)
    if end - start < MIN_SIDE:
        start = max(0, min(start - (MIN_SIDE - (end - start)), size - MIN_SIDE))
        end = start + MIN_SIDE
    return start, end


def _to_border(start: float, end: float, size: int) -> tuple[int, int]:
    return int(max(0, min(start, size))), int(max(0, min(end, size)))

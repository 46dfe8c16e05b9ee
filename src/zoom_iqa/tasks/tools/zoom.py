"""A closer look at a region of the original image, or a refusal in words that the caller may answer.

As in DeepEyes (arXiv 2505.14362) crops come from the original, whatever was shown before, and small sides are widened
to 28 pixels; the rest is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from zoom_iqa.base.regions import is_fractions
from zoom_iqa.base.types import Box, Look, ToolCall
from zoom_iqa.tasks.tools.crop import MIN_SIDE, Crop

if TYPE_CHECKING:
    from PIL.Image import Image


def zoom(image: Image, call: ToolCall, *, enlarge: float) -> Crop:
    """The region that a call names, enlarged (Lanczos) by ``enlarge`` as far as it stays within the image's size.

    Four numbers about [0, 1] are fractions of width and height, others are pixels (``is_fractions``). Boxes that reach
    beyond the image are cut at its border.
    """
    if call.problem is not None:
        return refused(call.problem)
    assert call.bbox is not None, "a call without a problem has a box"
    box = zoom_box(call.bbox, *image.size)
    if isinstance(box, str):
        return refused(box)
    return Crop.of(_enlarged(image.crop(box), image.size, enlarge), box, whole=image.size)


def zoom_box(bbox: tuple[float, float, float, float], width: int, height: int) -> Box | str:
    """The pixels of a box, or why there are none."""
    x1, y1, x2, y2 = bbox
    if not (x1 < x2 and y1 < y2):
        return "the box is empty: x1 must be below x2, and y1 below y2"
    if is_fractions(bbox):
        x1, x2, y1, y2 = x1 * width, x2 * width, y1 * height, y2 * height
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return "the box lies outside the image"
    left, right = _widened(x1, x2, width)
    top, bottom = _widened(y1, y2, height)
    return left, top, right, bottom


def _widened(start: float, end: float, size: int) -> tuple[int, int]:
    """Whole pixels that hold the part inside the image, at least ``MIN_SIDE`` of them where there are so many."""
    first, last = math.floor(max(0.0, start)), math.ceil(min(float(size), end))
    side = min(max(last - first, MIN_SIDE), size)
    first = min(max(0, first - (side - (last - first)) // 2), size - side)
    return first, first + side


def _enlarged(crop: Image, within: tuple[int, int], enlarge: float) -> Image:
    from PIL.Image import Resampling

    factor = min(enlarge, *(side / own for side, own in zip(within, crop.size, strict=True)))
    size = tuple(max(1, round(own * factor)) for own in crop.size)
    return crop if size == crop.size else crop.resize((size[0], size[1]), resample=Resampling.LANCZOS)


def refused(reason: str) -> Crop:
    """The outcome of a call that shows nothing."""
    return Crop(Look(refusal=reason), None)

"""The two-turn protocol as the released evaluation of Zoom-IQA (arXiv 2601.02918) reads answers and cuts crops.

It asks for less than ours. An answer is JSON or, failing that, the dialect of ``relaxed_json``; a rating is whatever
Python turns into a finite float (``"4.2"``, ``true``). A crop follows when box, rating and tool are all there, unless
the tool is ``final`` or every coordinate is zero, whatever else the three are; a box that is none becomes the central
half of the image, shown at its own size. If that half has no pixel (a side of one), the released code fails; here
the crop is refused and the first rating counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoom_iqa.base.errors import ImageError, ProtocolError
from zoom_iqa.base.types import Box, Look, Reading, ToolCall
from zoom_iqa.tasks import relaxed_json
from zoom_iqa.tasks.answer import clip_rating, read_object
from zoom_iqa.tasks.reading import zoom_reading
from zoom_iqa.tasks.tools import crop
from zoom_iqa.tasks.tools.crop import Crop, cut
from zoom_iqa.tasks.zoom import ZoomTask

if TYPE_CHECKING:
    from PIL.Image import Image

_ANSWER = re.compile(r"<answer>\s*(\{.*?\})\s*</answer>", re.DOTALL)
_FAR = 1e300  # stands for infinity: clamping brings both back to the border


def read_rating(text: str) -> float:
    """The rating, clipped to 1-5.

    Raises:
        ProtocolError: the release reads none.
    """
    return clip_rating(_rating(_values(text)))


def requests_crop(text: str) -> bool:
    """Whether a first turn asks for a closer look.

    Raises:
        ProtocolError: the release cannot tell; its first rating then counts, if there is one.
    """
    return _requests_crop(_values(text))


def crop_box(bbox: Any, width: int, height: int) -> Box:
    """The pixels that are cut out for ``bbox``, which may be anything, in an image of ``width`` x ``height`` pixels.

    Empty where the central half of a single row or column of pixels is asked for.

    Raises:
        ImageError: ``width`` or ``height`` is under 1.
    """
    corners = _corners(bbox)
    if corners is not None:
        return crop.crop_box(corners, width, height)
    if width < 1 or height < 1:
        raise ImageError(f"width, height = {width}, {height}; an image has at least one pixel")
    return width // 4, height // 4, width * 3 // 4, height * 3 // 4


class ReleasedRules:
    """Reads turns and cuts crops as the release does; the format of an answer is held to ours, as it has none."""

    def read(self, text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
        """Rating, crop call, format and places of digits of one turn."""
        return zoom_reading(
            read_object(text),
            written_rating=lambda: _rating(_values(text)),
            calls=lambda: _calls(_values(text)),
            sections=sections,
            final_only=final_only,
        )

    def crop(self, image: Image, call: ToolCall) -> Crop:
        """The crop that a call shows: without a box it is the central half, with the pixels it has."""
        box = crop_box(call.bbox, *image.size)
        if box[0] == box[2] or box[1] == box[3]:
            return Crop(Look(refusal=f"the central half of {image.width} x {image.height} pixels is empty"), None)
        return Crop.of(image.crop(box) if call.bbox is None else cut(image, box), box, whole=image.size)


class ReleasedZoomTask(ZoomTask):
    """The two turns under the release's rules."""

    rules = ReleasedRules()


def _values(text: str) -> Mapping[str, Any]:
    found = _ANSWER.search(text) if isinstance(text, str) else None
    if found is None:
        raise ProtocolError("missing_answer", "the text has no <answer>{...}</answer>")
    value = _loads(found.group(1))
    if not isinstance(value, dict):
        raise ProtocolError("malformed_json", f"the answer is a {type(value).__name__}; an object is needed")
    return value


def _loads(payload: str) -> Any:
    try:
        return json.loads(payload)
    except json.JSONDecodeError:
        pass
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or a nest as deep
        raise ProtocolError("malformed_json", f"{type(error).__name__} in the answer") from error
    try:
        return relaxed_json.loads(payload)
    except ValueError as error:
        raise ProtocolError("malformed_json", f"{error} in the answer, read as relaxed JSON") from error


def _rating(values: Mapping[str, Any]) -> float:
    if "rating" not in values:
        raise ProtocolError("bad_rating", "the answer has no rating")
    try:
        rating = float(values["rating"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError("bad_rating", f"the rating is no finite number ({type(error).__name__})") from error
    if not math.isfinite(rating):
        raise ProtocolError("bad_rating", f"the rating is {rating}; a finite number is needed")
    return rating


def _requests_crop(values: Mapping[str, Any]) -> bool:
    if "bbox_2d" not in values:
        raise ProtocolError("bad_bbox", "the answer has no bbox_2d")
    if "rating" not in values:
        raise ProtocolError("bad_rating", "the answer has no rating")
    if "tool" not in values:
        raise ProtocolError("bad_tool", "the answer has no tool")
    bbox, tool = values["bbox_2d"], values["tool"]
    try:
        all_zero = all(coordinate == 0 for coordinate in bbox)  # of a text its characters, of an object its keys
    except TypeError as error:
        raise ProtocolError("bad_bbox", f"bbox_2d is a {type(bbox).__name__}; a list is needed") from error
    return not (all_zero or tool == "final")


def _calls(values: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    return (ToolCall(tool="crop", bbox=_corners(values["bbox_2d"])),) if _requests_crop(values) else ()


def _corners(bbox: Any) -> tuple[float, float, float, float] | None:
    """Four finite numbers that are cut as the written ones are, or None where the central half stands in."""
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4:
        return None
    try:
        x1, y1, x2, y2 = (_finite(value) for value in bbox)
    except (TypeError, ValueError):
        return None
    return None if x1 == y1 == x2 == y2 == 0 else (x1, y1, x2, y2)


def _finite(value: Any) -> float:
    """A coordinate as a float, its infinity as a far place and its NaN as one before the border, where it is clamped.

    On an integer beyond the range of floats the released code fails; it is far, too.
    """
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return -1.0 if math.isnan(number) else min(_FAR, max(-_FAR, number))

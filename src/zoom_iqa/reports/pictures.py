"""Pictures small enough for a page: WebP as text, all of them within a number of bytes."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from zoom_iqa.base.types import Box

SIZES = ((448, 72), (352, 68), (288, 64), (256, 58), (224, 52), (192, 48), (160, 44))
"""Longest sides in pixels with WebP qualities, tried in this order."""
TRIED = 16
"""Pictures whose bytes decide on the size of all."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image for a page: its source, the size it has in full, and crops that its small version is too coarse for."""

    source: str
    width: int
    height: int
    crops: Mapping[str, str] = field(default_factory=dict)

    @property
    def characters(self) -> int:
        """The room it takes on a page."""
        return len(self.source) + sum(map(len, self.crops.values()))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A picture to be shown, with the boxes of which crops are shown beside it."""

    key: str
    load: Callable[[], Image.Image | None]
    boxes: Sequence[Box]


def crop_key(box: Box) -> str:
    """The name of a crop among those of its picture."""
    return ",".join(map(str, box))


def pictures_within(
    budget: int, wanted: Sequence[Wanted], *, advance: Callable[[], None] = lambda: None
) -> dict[str, Picture]:
    """The pictures by key, in the order wanted, as large as lets all fit into ``budget`` characters.

    Where even the smallest are too large together, the last are left out; so is one that cannot be loaded. ``advance``
    is called after each.
    """
    trial = list(_loaded(wanted[:TRIED]))
    side, quality = _size(budget, trial, count=len(wanted))
    found: dict[str, Picture] = {}
    left = budget
    for item, image in itertools.chain(trial, _loaded(wanted[TRIED:])):
        picture = shrunk(image, item.boxes, side=side, quality=quality)
        if picture.characters > left:
            break
        found[item.key] = picture
        left -= picture.characters
        advance()
    return found


def shrunk(image: Image.Image, boxes: Sequence[Box], *, side: int, quality: int) -> Picture:
    """A picture of ``side`` pixels at most; crops are pictures of their own only where the image had to be reduced."""
    reduced = max(image.size) > side
    crops = {crop_key(box): encoded(image.crop(box), side // 2, quality) for box in boxes} if reduced else {}
    return Picture(source=encoded(image, side, quality), width=image.width, height=image.height, crops=crops)


def _size(budget: int, trial: Sequence[tuple[Wanted, Image.Image]], *, count: int) -> tuple[int, int]:
    """The largest size at which ``count`` pictures like those tried fit."""
    for side, quality in SIZES:
        tried = sum(shrunk(image, item.boxes, side=side, quality=quality).characters for item, image in trial)
        if tried * count <= budget * len(trial):
            return side, quality
    return SIZES[-1]


def _loaded(wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, Image.Image]]:
    for item in wanted:
        image = item.load()
        if image is not None:
            yield item, image


def encoded(image: Image.Image, side: int, quality: int) -> str:
    """A picture of ``side`` pixels at most as the source of an image on a page."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"

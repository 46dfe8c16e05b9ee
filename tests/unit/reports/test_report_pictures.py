"""Pictures fit into their room: smaller where there are many, the last left out where even the smallest do not fit."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.types import Box
from zoom_iqa.reports.pictures import SIZES, Wanted, crop_key, pictures_within, shrunk


def noise(width: int, height: int, seed: int) -> Image.Image:
    """The picture that compresses worst."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def wanted(count: int, *, size: tuple[int, int] = (128, 96), boxes: tuple[Box, ...] = ()) -> list[Wanted]:
    return [
        Wanted(key=f"k{n}", load=lambda seed=n: noise(*size, seed), boxes=boxes)  # type: ignore[misc]
        for n in range(count)
    ]


def size_of(source: str) -> tuple[int, int]:
    head, _, data = source.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).size


def test_with_room_for_all_they_are_large() -> None:
    found = pictures_within(10_000_000, wanted(3))
    assert list(found) == ["k0", "k1", "k2"]
    assert {size_of(picture.source) for picture in found.values()} == {(128, 96)}  # never enlarged


def test_many_are_made_smaller_until_they_fit() -> None:
    few, many = (pictures_within(200_000, wanted(count, size=(480, 360))) for count in (2, 12))
    assert (len(few), len(many)) == (2, 12)
    assert sum(picture.characters for picture in many.values()) <= 200_000
    assert max(size_of(many["k0"].source)) < max(size_of(few["k0"].source))


def test_where_the_smallest_do_not_fit_the_last_are_left_out() -> None:
    one = shrunk(noise(128, 96, 0), (), side=SIZES[-1][0], quality=SIZES[-1][1]).characters
    found = pictures_within(int(2.5 * one), wanted(5))
    assert list(found) == ["k0", "k1"]


def test_a_crop_has_a_picture_of_its_own_where_the_image_is_reduced() -> None:
    box = (200, 100, 400, 300)
    reduced = shrunk(noise(800, 600, 0), [box], side=448, quality=50)
    assert (reduced.width, reduced.height) == (800, 600)
    assert size_of(reduced.source) == (448, 336)
    assert size_of(reduced.crops[crop_key(box)]) == (200, 200)  # whole: 200 pixels are fewer than 224
    assert shrunk(noise(256, 192, 0), [box], side=448, quality=50).crops == {}


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_pictures_of_any_mode_can_be_shown(mode: str) -> None:
    assert size_of(shrunk(noise(32, 24, 0).convert(mode), (), side=160, quality=50).source) == (32, 24)


def test_one_that_cannot_be_loaded_is_left_out() -> None:
    gone = Wanted(key="gone", load=lambda: None, boxes=())
    assert list(pictures_within(10_000_000, [gone, *wanted(2)])) == ["k0", "k1"]

"""The crop policy on cases worked out by hand, step by step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.tasks.tools.crop import crop_box, crop_image, viewable


@pytest.mark.parametrize(
    ("bbox", "size", "expected"),
    [
        # the whole image: both sides times sqrt(0.75) = 0.866 about the centre, 6.70..93.30
        ([0, 0, 100, 100], (100, 100), (6, 6, 93, 93)),
        # 1 % of the area: both sides times 5
        ([40, 40, 50, 50], (100, 100), (20, 20, 70, 70)),
        # clamped to 0..100 x 90..90, which grows to 90..91; times 5 and clamped is 0..100 x 88..93; 23 missing rows
        # go 11 up and 12 down, of which 5 do not fit and go up: 72..100
        ([-10, 90, 200, 90], (100, 100), (0, 72, 100, 100)),
        # a point on the right border: 99..100 x 40..41, times sqrt(2000)
        ([1, 0.5, 1, 0.5], (100, 80), (72, 18, 100, 62)),
        ([1, 2], (100, 80), (25, 20, 75, 60)),
        ([0, 0, 0, 0], (100, 80), (25, 20, 75, 60)),
        # between 25 and 75 % nothing is scaled
        ([0.25, 0.25, 0.75, 0.875], (100, 80), (25, 20, 75, 70)),
        ([30, 30, 80, 80], (100, 100), (30, 30, 80, 80)),
        ([0, 0, 86, 86], (100, 100), (0, 0, 86, 86)),
        # 24.01 %: both sides times 50 / 49, 29.5 to 79.5; 75.69 %: both times sqrt(7500 / 7569), 0.2 to 86.8
        ([30, 30, 79, 79], (100, 100), (29, 29, 79, 79)),
        ([0, 0, 87, 87], (100, 100), (0, 0, 86, 86)),
        # corners in the wrong order
        ([0.75, 0.875, 0.25, 0.25], (100, 80), (25, 20, 75, 70)),
        # one coordinate over 1 makes all of them pixels: 0..1 x 0..2, times sqrt(1000) = 31.6, clamped:
        # 16.31 wide from 0, 32.62 high from 0; 11.69 missing columns go 5 left (moved right) and 6 right, and the 0.69
        # that is left of them to the right
        ([0, 0, 1, 2], (100, 80), (0, 0, 28, 32)),
        # narrower than 28: the whole width
        ([0.4, 0.4, 0.6, 0.6], (20, 200), (0, 50, 20, 150)),
        ([0.5, 0.5, 0.5, 0.5], (1, 1), (0, 0, 1, 1)),
        (None, (1, 1), (0, 0, 1, 1)),
        (None, (3, 2), (0, 0, 2, 1)),
    ],
)
def test_worked_cases(bbox: Any, size: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    assert crop_box(bbox, *size) == expected


@pytest.mark.parametrize(
    ("bbox", "size", "expected"),
    [
        ([0.4, 0.72, 0.4, 0.87], (242, 1668), (83, 0, 111, 1668)),
        ([0.583, 0.704, 0.107, 0.698], (502, 210), (0, 133, 502, 161)),
        ([1298, 1, 53, -14], (1330, 740), (0, 0, 1330, 28)),
        ([-6.792325966304405, 21.673747615781693, 15.415671205909447, 17.549726400995468], (28, 29), (0, 0, 28, 29)),
        ([0.3, 0.565, 0.89, 0.3], (35, 58), (6, 10, 35, 38)),
    ],
)
def test_the_released_code_cuts_these_boxes(
    bbox: list[float], size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    """Of 480,000 random boxes on which both agree, some with sides to be completed; Zoom-IQA at commit f4dee23."""
    assert crop_box(bbox, *size) == expected


@pytest.mark.parametrize(
    "bbox",
    [
        None,
        "0,0,1,1",
        {},
        [],
        [0.1, 0.2, 0.3],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        ["0.1", "0.2", "0.3", "0.4"],
        [0.1, 0.2, math.nan, 0.4],
        [0.1, 0.2, math.inf, 0.4],
        [True, False, True, True],
        [[0.1], 0.2, 0.3, 0.4],
        (0.0, -0.0, 0, 0),
    ],
)
def test_unusable_boxes_give_the_central_half(bbox: Any) -> None:
    assert crop_box(bbox, 100, 80) == (25, 20, 75, 60)


def test_numbers_beyond_floats_are_pixels_beyond_the_border() -> None:
    assert crop_box([-(10**400), -(10**400), 10**400, 10**400], 100, 100) == crop_box([0, 0, 100, 100], 100, 100)
    assert crop_box([-1e308, -1e308, 1e308, 1e308], 100, 100) == (6, 6, 93, 93)


def test_numpy_numbers_are_numbers() -> None:
    assert crop_box(list(np.array([0.25, 0.25, 0.75, 0.875], dtype=np.float32)), 100, 80) == (25, 20, 75, 70)


def test_an_image_without_pixels_is_an_error() -> None:
    with pytest.raises(ImageError, match="0, 5"):
        crop_box([0, 0, 1, 1], 0, 5)


def test_the_crop_is_enlarged_to_fit_the_image() -> None:
    image = Image.new("RGB", (100, 80))
    # 25..75 x 20..70 is square: as high as the image, 80 x 80
    assert crop_image(image, [0.25, 0.25, 0.75, 0.875]).size == (80, 80)
    # 10..90 x 20..52 is 80 x 32: as wide as the image, 100 x 40
    assert crop_image(image, [10, 20, 90, 52]).size == (100, 40)


def test_the_central_half_keeps_its_pixels() -> None:
    pixels = np.arange(100 * 80, dtype=np.uint8).reshape(80, 100)
    crop = crop_image(Image.fromarray(pixels), None)
    np.testing.assert_array_equal(np.asarray(crop), pixels[20:60, 25:75])


def test_the_crop_shows_the_region_asked_for() -> None:
    pixels = np.zeros((80, 100, 3), dtype=np.uint8)
    pixels[20:70, 25:75] = (200, 10, 30)
    crop = np.asarray(crop_image(Image.fromarray(pixels), [0.25, 0.25, 0.75, 0.875]))
    assert (crop == np.array([200, 10, 30])).all()


def test_extreme_aspect_ratios_keep_a_pixel() -> None:
    # 350 x 1 is less elongated than the image, so its height fits first; 1 x 250 likewise
    assert crop_image(Image.new("RGB", (500, 1)), [0.1, 0, 0.8, 1]).size == (350, 1)
    assert crop_image(Image.new("RGB", (1, 500)), [0, 0.1, 1, 0.6]).size == (1, 250)
    # 28 x 750 in 1500 x 1000: truncated, 1000 * 28 / 750 = 37.3
    assert crop_image(Image.new("RGB", (40, 1000)), [6, 100, 34, 850]).size == (37, 1000)


@pytest.mark.parametrize(
    ("size", "fits"), [((200, 1), True), ((1, 201), False), ((1999, 10), True), ((2001, 10), False), ((1, 1), True)]
)
def test_the_tower_takes_sides_up_to_200_to_1(size: tuple[int, int], fits: bool) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    assert viewable(*size) == fits
    if fits:
        smart_resize(*size)
    else:
        with pytest.raises(ValueError, match="aspect ratio"):
            smart_resize(*size)


def test_the_tower_takes_no_image_without_pixels() -> None:
    assert not viewable(0, 0)

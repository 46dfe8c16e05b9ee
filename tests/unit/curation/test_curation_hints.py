"""Measures of an image against values computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.indicators import Indicator
from zoom_iqa.base.types import Example, rated_example
from zoom_iqa.curation.hints import MEASURES, brightness, colorfulness, contrast, hints_of, sharpness, written_hints


def grey(level: int, size: int = 6) -> np.ndarray:
    return np.full((size, size, 3), level, dtype=np.uint8)


def test_a_grey_image_has_brightness_alone() -> None:
    assert brightness(grey(51)) == pytest.approx(0.2)
    assert [MEASURES[name](grey(51)) for name in ("contrast", "colorfulness", "sharpness")] == pytest.approx([0, 0, 0])


def test_half_black_and_half_white() -> None:
    halves = np.concatenate([grey(0), grey(255)])
    assert brightness(halves) == pytest.approx(0.5)
    assert contrast(halves) == pytest.approx(0.5)


def test_luma_weighs_green_most() -> None:
    green = np.zeros((2, 2, 3), dtype=np.uint8)
    green[..., 1] = 255
    assert brightness(green) == pytest.approx(0.587)


def test_colorfulness_of_red_beside_blue() -> None:
    """R - G is 255 and 0, (R + G) / 2 - B is 127.5 and -255: means 127.5 and -63.75, deviations 127.5 and 191.25."""
    both = np.zeros((2, 2, 3), dtype=np.uint8)
    both[0, :, 0] = 255
    both[1, :, 2] = 255
    assert colorfulness(both) == pytest.approx(math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75))


def test_sharpness_of_one_white_pixel() -> None:
    """The Laplacian is -4 at it and 1 at its four neighbours, of 25 pixels, in units of 255; its mean is 0."""
    point = grey(0, 5)
    point[2, 2] = 255
    assert sharpness(point) == pytest.approx(255**2 * (16 + 4) / 25)


def test_hints_have_the_score_where_there_is_one() -> None:
    image = Image.fromarray(grey(51))
    assert list(hints_of(image, rated_example(id="a", dataset="d", mos=3.25))) == ["MOS", *MEASURES]
    unrated = hints_of(image, Example(id="a", dataset="d"))
    assert list(unrated) == list(MEASURES)
    assert "- brightness: 0.2 (0 black to 1 white)" in written_hints(unrated)


def test_a_value_that_the_data_set_publishes_takes_the_place_of_ours() -> None:
    published = (Indicator("sharpness", 61.25, 0.834), Indicator("noisiness", 40.0, 0.0))
    example = replace(rated_example(id="a", dataset="d", mos=3.25), indicators=published)
    hints = hints_of(Image.fromarray(grey(51)), example)
    assert list(hints) == ["MOS", "sharpness", "noisiness", "brightness", "contrast", "colorfulness"]
    written = written_hints(hints).splitlines()
    assert written[1] == "- sharpness: 61.25 (as the data set publishes it; higher than 83% of its images)"
    assert written[2] == "- noisiness: 40 (as the data set publishes it; higher than 0% of its images)"
    assert written[3] == "- brightness: 0.2 (0 black to 1 white)"

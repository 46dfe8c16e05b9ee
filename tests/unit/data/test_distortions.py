"""The 25 distortions: every level of each, its strength, its shape, its randomness."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoom_iqa.data.distortions import DISTORTIONS, IDENTITIES, Distortion, distort
from zoom_iqa.data.distortions.blur import lens_blur, motion_blur
from zoom_iqa.data.distortions.color import color_shift
from zoom_iqa.data.distortions.noise import impulse_noise, multiplicative_noise, white_noise, white_noise_ycbcr
from zoom_iqa.data.distortions.spatial import color_block, pixelate
from zoom_iqa.data.distortions.tone import brighten, contrast_change, darken, mean_shift, quantization
from zoom_iqa.data.embedded.photographs import load_photograph

BY_NAME = {kind.name: kind for kind in DISTORTIONS}

# Types of which a higher level lies farther from the original; the others change direction or place things at random.
MONOTONE = [kind for kind in DISTORTIONS if kind.name not in ("mean_shift", "contrast_change", "color_block")]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return load_photograph("wildlife_red_panda")


def apply(image: np.ndarray, kind: Distortion, level: float, seed: int = 0) -> np.ndarray:
    return distort(image, kind=kind, level=level, rng=np.random.default_rng(seed))


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


def grey(value: int, size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_numbers_are_kadids_and_names_unique() -> None:
    assert [kind.number for kind in DISTORTIONS] == list(range(1, 26))
    assert len(BY_NAME) == 25


@pytest.mark.parametrize("kind", DISTORTIONS, ids=lambda kind: kind.name)
def test_every_level_changes_the_image_unless_kadids_own_does_not(photo: np.ndarray, kind: Distortion) -> None:
    before = photo.copy()
    for level in range(1, 6):
        out = apply(photo, kind, level)
        assert out.shape == photo.shape
        assert out.dtype == np.uint8
        error = mean_squared_error(out, photo)
        if (kind.number, level) in IDENTITIES:
            assert error < 0.5  # rounding through another colour space
        else:
            assert error > 0.5
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("kind", MONOTONE, ids=lambda kind: kind.name)
def test_severity_grows_with_the_level(photo: np.ndarray, kind: Distortion) -> None:
    errors = [
        np.mean([mean_squared_error(apply(photo, kind, level, seed), photo) for seed in range(3)])
        for level in (1, 2, 3, 4, 5)
    ]
    assert all(low < high for low, high in pairwise(errors)), errors


@pytest.mark.parametrize("name", ["mean_shift", "contrast_change"])
def test_severity_grows_away_from_level_three(photo: np.ndarray, name: str) -> None:
    errors = [mean_squared_error(apply(photo, BY_NAME[name], level), photo) for level in (1, 2, 3, 4, 5)]
    assert errors[0] > errors[1] > min(errors[2], errors[3])
    assert errors[4] > errors[3]


@pytest.mark.parametrize("kind", DISTORTIONS, ids=lambda kind: kind.name)
def test_same_generator_state_same_image(photo: np.ndarray, kind: Distortion) -> None:
    np.testing.assert_array_equal(apply(photo, kind, 3.5, seed=4), apply(photo, kind, 3.5, seed=4))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(DISTORTIONS),
    level=st.floats(1, 5),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_any_size_and_level(kind: Distortion, level: float, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = apply(image, kind, level, seed)
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@pytest.mark.parametrize("level", [0.99, 5.01, float("nan")])
def test_levels_outside_one_to_five_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        DISTORTIONS[0].parameter(level)


def test_fractional_levels_interpolate_the_parameter() -> None:
    assert BY_NAME["gaussian_blur"].parameter(4.5) == pytest.approx(3.5)  # between 2 and 5
    assert BY_NAME["jpeg"].parameter(3.25) == pytest.approx(19.75)  # between 24 and 7
    assert BY_NAME["contrast_change"].parameter(5) == -0.6


def test_lens_blur_of_a_point_is_a_disc() -> None:
    image = np.zeros((21, 21, 3), np.uint8)
    image[10, 10] = 255
    out = lens_blur(image, 2.0, np.random.default_rng(0)).astype(float)[..., 0] / 255
    assert out.sum() == pytest.approx(1, abs=0.05)
    assert out[10, 10] == pytest.approx(1 / (np.pi * 4), abs=0.01)
    assert out[10, 12] > 0.02
    assert out[10, 13] == 0
    assert out[12, 12] < 0.01


def test_motion_blur_of_a_point_is_a_line_through_it() -> None:
    image = np.zeros((31, 31, 3), np.uint8)
    image[15, 15] = 255
    out = motion_blur(image, 11.0, np.random.default_rng(1)).astype(float)[..., 0]
    y, x = np.nonzero(out > 4)
    assert np.hypot(y - 15, x - 15).max() == pytest.approx(5, abs=1.2)
    spread = np.linalg.svd(np.stack([y - y.mean(), x - x.mean()]), compute_uv=False)
    assert spread[0] > 6 * spread[1]


def test_a_shift_of_green_is_seen_at_edges() -> None:
    """Six pixels at 0.637 of a turn are 4 to the left: 4 black columns get the white's green."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    out = color_shift(image, 6.0, np.random.default_rng(0))
    assert (out[..., (0, 2)] == image[..., (0, 2)]).all()
    assert np.flatnonzero(out[32, :, 1] != image[32, :, 1]).tolist() == [28, 29, 30, 31]
    assert out[32, 31, 1] > 200  # the nearer the edge, the more of it


def test_pixelation_shrinks_to_the_stated_share_of_each_side() -> None:
    """0.95 - 0.5^0.6 is 0.290: of 100 columns 29 are left, of 50 rows 14."""
    pixels = np.arange(5000).reshape(50, 100)
    image = np.stack([pixels % 256, pixels // 256, np.zeros_like(pixels)], axis=-1).astype(np.uint8)
    out = pixelate(image, 0.5, np.random.default_rng(0))
    assert (len(np.unique(out[0], axis=0)), len(np.unique(out[:, 0], axis=0))) == (29, 14)


def test_blocks_of_colour_are_as_many_and_as_large_as_stated() -> None:
    out = color_block(grey(128, 2000), 10.0, np.random.default_rng(0))
    changed = (out != 128).any(axis=2)
    assert len(np.unique(out[changed], axis=0)) == 10
    assert changed.sum() == 10 * 32 * 32  # on so large an image none covers another


def test_noise_has_the_stated_variance() -> None:
    rng = np.random.default_rng(0)
    base = grey(128, 256)
    assert (white_noise(base, 0.002, rng) / 255.0).var() == pytest.approx(0.002, rel=0.02)
    assert (multiplicative_noise(base, 0.02, rng) / 255.0).var() == pytest.approx(0.02 * (128 / 255) ** 2, rel=0.02)
    # R = 1.164 Y + 1.596 Cr, so its variance is 1.164^2 + 1.596^2 times that of each component.
    red = white_noise_ycbcr(base, 0.001, rng)[..., 0] / 255.0
    assert red.var() == pytest.approx(0.001 * (1.164**2 + 1.596**2), rel=0.02)


def test_impulse_noise_hits_the_stated_share_with_both_extremes() -> None:
    out = impulse_noise(grey(128, 256), 0.03, np.random.default_rng(0))
    assert (out != 128).mean() == pytest.approx(0.03, rel=0.05)
    assert (out == 255).sum() == pytest.approx((out == 0).sum(), rel=0.1)


def test_tone_curves_by_hand() -> None:
    rng = np.random.default_rng(0)
    # Darken 0.4: the parabola through (0.5, 0.3) is 0.8 x^2 + 0.2 x; at 102 / 255 = 0.4 it is 0.208.
    assert darken(grey(102), 0.4, rng)[0, 0, 0] == round(255 * 0.208)
    # Brighten 0.4: through (0.5, 0.7), -0.8 x^2 + 1.8 x; at 0.4 it is 0.592; lightness of grey gives another tone.
    assert darken(grey(102), -0.4, rng)[0, 0, 0] == round(255 * 0.592)
    assert brighten(grey(102), 0.4, rng)[0, 0, 0] > 120
    assert mean_shift(grey(250), 0.08, rng)[0, 0, 0] == 255
    assert mean_shift(grey(100), -0.15, rng)[0, 0, 0] == 62
    # Contrast 0.3 moves 0.3 to 0.175 and 0.7 to 0.825; -0.6 moves them to 0.4 and 0.6.
    assert contrast_change(grey(round(0.7 * 255)), 0.3, rng)[0, 0, 0] == pytest.approx(0.825 * 255, abs=1)
    assert contrast_change(grey(round(0.3 * 255)), -0.6, rng)[0, 0, 0] == pytest.approx(0.4 * 255, abs=1)


def test_quantization_leaves_one_value_more_than_thresholds(photo: np.ndarray) -> None:
    for thresholds in (7, 10, 20):
        assert len(np.unique(quantization(photo, thresholds, np.random.default_rng(0)))) == thresholds + 1


def test_palette_has_the_stated_number_of_colours(photo: np.ndarray) -> None:
    for level, colors in ((5, 8), (3, 32)):
        out = apply(photo, BY_NAME["color_quantization"], level)
        assert len(np.unique(out.reshape(-1, 3), axis=0)) <= colors
        assert len(np.unique(out.reshape(-1, 3), axis=0)) > colors // 2


def test_saturation_factors(photo: np.ndarray) -> None:
    grey_level = apply(photo, BY_NAME["color_saturation_1"], 4)  # factor 0: every channel the value of HSV
    np.testing.assert_array_equal(grey_level, np.repeat(photo.max(axis=2, keepdims=True), 3, axis=2))
    inverted = apply(np.full((4, 4, 3), (200, 100, 100), np.uint8), BY_NAME["color_saturation_1"], 5)
    assert inverted[0, 0].tolist() == [200, 240, 240]  # 200 + 0.4 (200 - 100)

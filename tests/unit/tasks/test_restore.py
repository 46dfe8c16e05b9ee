"""Each edit of the embedded restorer repairs its own defect, and touches nothing outside its region."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from zoom_iqa.data.distortions import DISTORTIONS, distort
from zoom_iqa.data.embedded.photographs import load_photograph
from zoom_iqa.tasks.tools.restore import EDITS, edited, noise_sigma

SHARP = load_photograph("coffee")


def error(image: np.ndarray) -> float:
    """Mean squared difference from the pristine photograph."""
    return float(((image.astype(np.float64) - SHARP) ** 2).mean())


def distorted(kind: str, level: float) -> np.ndarray:
    (found,) = [one for one in DISTORTIONS if one.name == kind]
    return distort(SHARP, kind=found, level=level, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("kind", "level", "edit"),
    [
        ("white_noise", 4, "denoise"),
        ("white_noise_color_component", 4, "clean_colour"),
        ("impulse_noise", 3, "despeckle"),
        ("jpeg", 5, "deblock"),
        ("gaussian_blur", 3, "deblur"),
        ("high_sharpen", 4, "soften"),
        ("darken", 4, "brighten"),
        ("brighten", 4, "darken"),
        ("color_saturation_1", 4, "saturate"),
        ("color_saturation_2", 3, "desaturate"),
    ],
)
def test_a_distorted_photograph_comes_nearer_to_the_pristine_one(kind: str, level: float, edit: str) -> None:
    before = distorted(kind, level)
    assert error(EDITS[edit](before)) < error(before)


def test_contrast_fills_the_scale_and_eases_one_that_is_too_hard() -> None:
    flat = np.clip(100 + SHARP.astype(int) // 4, 0, 255).astype(np.uint8)
    assert cv2.cvtColor(EDITS["contrast"](flat), cv2.COLOR_RGB2GRAY).std() > 1.5 * flat.std()
    hard = np.where(SHARP > 100, 255, 0).astype(np.uint8)
    assert EDITS["contrast"](hard).std() < hard.std()
    one_tone = np.full((8, 8, 3), 90, np.uint8)
    assert (EDITS["contrast"](one_tone) == 90).all()


def test_balance_halves_a_cast() -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    cast = grey + np.array([40, 0, 0], np.uint8)
    after = EDITS["balance"](cast).astype(int)[0, 0]
    assert 0 < after.max() - after.min() < 35


def test_smooth_gradients_evens_steps_and_keeps_edges() -> None:
    ramp = np.tile((np.arange(256) // 8 * 8).astype(np.uint8)[None, :, None], (32, 1, 3))
    assert np.abs(np.diff(EDITS["smooth_gradients"](ramp)[16, :, 0].astype(int))).max() < 8
    edge = np.zeros((32, 32, 3), np.uint8)
    edge[:, 16:] = 255
    assert np.array_equal(EDITS["smooth_gradients"](edge), edge)


def test_sharpen_raises_and_smooth_edges_lowers_detail() -> None:
    def detail(image: np.ndarray) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())

    assert detail(EDITS["sharpen"](SHARP)) > detail(SHARP) > detail(EDITS["smooth_edges"](SHARP))


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (33, 47)])
def test_any_size_keeps_its_size_and_type(edit: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = image.copy()
    after = EDITS[edit](image)
    assert (after.shape, after.dtype) == (image.shape, np.uint8)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("edit", EDITS)
def test_a_region_is_edited_and_the_rest_is_not(edit: str) -> None:
    noisy = distorted("white_noise", 3)
    before = Image.fromarray(noisy)
    after = np.asarray(edited(before, edit, (0.5, 0.5, 1.0, 1.0))).astype(int)
    whole = np.asarray(edited(before, edit, None)).astype(int)
    height, width = noisy.shape[:2]
    away = np.s_[: height // 4, : width // 4]
    inside = np.s_[3 * height // 4 : height - 8, 3 * width // 4 : width - 8]
    assert np.array_equal(after[away], noisy[away])
    assert np.abs(after[inside] - whole[inside]).max() <= 1
    assert np.abs(whole[inside] - noisy[inside]).max() > 0


def test_noise_is_measured_in_tones() -> None:
    rng = np.random.default_rng(0)
    grey = np.clip(128 + rng.normal(0, 10, (200, 200, 1)), 0, 255).repeat(3, axis=2)
    assert noise_sigma(grey.astype(np.uint8)) == pytest.approx(10, rel=0.1)
    assert noise_sigma(np.full((50, 50, 3), 77, np.uint8)) == 0

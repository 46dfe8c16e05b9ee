"""NIQE agrees with another implementation, rises with damage, and has no score where there is nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from support.reference_photographs import BASICSR_NIQE, NAMES, photograph
from zoom_iqa.base.errors import ImageError
from zoom_iqa.peers.natural_scene import luminance
from zoom_iqa.peers.niqe import NIQE, patch_features


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_another_implementation(name: str) -> None:
    assert NIQE().score(photograph(name)) == pytest.approx(BASICSR_NIQE[name], rel=0.005)


def test_blur_and_noise_score_higher() -> None:
    clean = photograph("tiger")
    pixels = np.asarray(clean) + np.random.default_rng(0).normal(0, 30, (384, 512, 3))
    noisy = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    blurred = clean.filter(ImageFilter.GaussianBlur(3))
    score = NIQE().score
    assert score(noisy) > score(clean) + 1
    assert score(blurred) > score(clean) + 1


def test_only_whole_patches_count() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (200, 300))
    assert patch_features(luma).shape == (2 * 3, 36)
    assert np.array_equal(patch_features(luma), patch_features(luma[:192, :288]))


@pytest.mark.parametrize("size", [(96, 96), (95, 400), (1, 1)])
def test_too_small_is_said(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 40).convert("RGB")
    with pytest.raises(ImageError, match=f"{size[0]} x {size[1]}.*needs 2"):
        NIQE().score(image)


def test_flat_is_said() -> None:
    with pytest.raises(ImageError, match="0 textured patches"):
        NIQE().score(Image.new("RGB", (400, 400), (90, 90, 90)))


def test_flat_sky_above_texture_still_has_a_score() -> None:
    image = photograph("coffee")
    image.paste((200, 200, 200), (0, 0, 512, 110))
    assert np.isfinite(NIQE().score(image))


def test_a_patch_that_lacks_a_fit_counts_with_its_others() -> None:
    """Products of horizontal stripes with what is beside them are squares, to which nothing is fitted.

    Above and below the stripes it is flat, so that they change no other patch.
    """
    features, scores = [], []
    for period in (4, 8):
        luma = np.random.default_rng(0).integers(0, 256, (5 * 96, 96), dtype=np.uint8)
        luma[-112:] = 128
        luma[-80:-16] = np.where(np.arange(64) % period < period // 2, 100, 156)[:, None]
        image = Image.fromarray(luma).convert("RGB")
        features.append(patch_features(luminance(image)))
        scores.append(NIQE().score(image))
    assert np.array_equal(features[0][:-1], features[1][:-1])
    assert np.isnan(features[0][-1]).tolist() == np.isnan(features[1][-1]).tolist()
    assert 0 < np.isnan(features[0][-1]).sum() < 36
    assert abs(scores[0] - scores[1]) > 0.01

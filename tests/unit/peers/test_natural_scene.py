"""Fits find the distributions that samples are drawn from; normalisation takes brightness and contrast away."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import gennorm

from zoom_iqa.peers.natural_scene import fit_asymmetric, luminance, normalised


@pytest.mark.parametrize("shape", [0.8, 1.0, 2.0, 4.0])
def test_symmetric_samples_give_their_shape_and_deviation(shape: float) -> None:
    samples = gennorm.rvs(shape, scale=3.0, size=200_000, random_state=1)
    fit = fit_asymmetric(samples[None])
    assert fit.alpha_N[0] == pytest.approx(shape, rel=0.03)
    assert fit.left_N[0] == pytest.approx(gennorm.std(shape, scale=3.0), rel=0.02)
    assert fit.scales[0] * fit.right_N[0] == pytest.approx(3.0, rel=0.05)
    assert abs(fit.means[0]) < 0.05


def test_asymmetric_samples_give_both_sides_and_their_mean() -> None:
    """Halves of two normal distributions, drawn as often as their widths: one density without a step at 0."""
    rng = np.random.default_rng(0)
    left, right = -np.abs(rng.normal(0, 1, 100_000)), np.abs(rng.normal(0, 3, 300_000))
    samples = np.concatenate([left, right])
    fit = fit_asymmetric(samples[None])
    assert fit.alpha_N[0] == pytest.approx(2.0, rel=0.03)
    assert (fit.left_N[0], fit.right_N[0]) == (pytest.approx(1.0, rel=0.02), pytest.approx(3.0, rel=0.02))
    assert fit.means[0] == pytest.approx(samples.mean(), rel=0.02)


def test_a_row_without_both_sides_has_no_fit_and_leaves_others_alone() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(size=1000), np.zeros(1000), np.abs(rng.normal(size=1000))])
    alpha = fit_asymmetric(rows).alpha_N
    assert np.isfinite(alpha[0])
    assert np.isnan(alpha[1:]).all()


def test_normalised_texture_keeps_neither_brightness_nor_contrast() -> None:
    texture = np.random.default_rng(0).normal(size=(64, 80))
    bright, strong = normalised(200 + 20 * texture), normalised(100 + 40 * texture)
    assert bright == pytest.approx(strong, abs=0.15)
    assert np.abs(bright).mean() > 0.5
    assert normalised(np.full((20, 20), 77.0)) == pytest.approx(np.zeros((20, 20)), abs=1e-6)


def test_luminance_weighs_the_colours() -> None:
    image = Image.new("RGB", (2, 3), (255, 0, 0))
    assert luminance(image).shape == (3, 2)
    assert luminance(image)[0, 0] == 76  # 0.299 * 255, rounded

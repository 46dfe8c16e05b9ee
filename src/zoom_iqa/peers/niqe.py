"""NIQE: how far the statistics of an image's patches are from those of pristine photographs.

Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer", IEEE Signal Processing Letters 20(3),
2013. The pristine model is the authors' own (``niqe_pristine.csv`` says where it is from); the features below are
those it was estimated with, so the two belong together.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np
from PIL import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.peers.natural_scene import Array, fit_asymmetric, luminance, normalised

PATCH = 96
"""Side of a patch at full size, in pixels; half of it at half size."""

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Horizontal, vertical and both diagonal neighbours, as shifts of rows and columns."""


class NIQE:
    """Distance to the pristine model, 0 and up: lower is better. An image needs two patches of 96 x 96 pixels."""

    lower_is_better = True
    on_mos_scale = False

    def score(self, image: Image.Image) -> float:
        """Equation 10 of the paper.

        Raises:
            ImageError: fewer than two patches have statistics: the image is too small, or flat.
        """
        features_NF = patch_features(luminance(image))
        whole_NF = features_NF[~np.isnan(features_NF).any(axis=1)]
        if len(whole_NF) < 2:
            raise ImageError(
                f"NIQE has no score for {image.width} x {image.height} pixels with {len(whole_NF)} textured patches of "
                f"{PATCH} x {PATCH}; it needs 2"
            )
        mean_F, covariance_FF = _pristine()
        # as the authors: the mean keeps what a flat patch still has, the covariance takes whole patches only
        difference_F = mean_F - np.nanmean(features_NF, axis=0)
        pooled_FF = (covariance_FF + np.cov(whole_NF, rowvar=False)) / 2
        return float(np.sqrt(difference_F @ np.linalg.pinv(pooled_FF) @ difference_F))


def patch_features(luma: Array) -> Array:
    """36 features for each whole patch of a luma on 0-255, shape (patches, 36); NaN where a patch is flat."""
    height, width = (side // PATCH * PATCH for side in luma.shape)
    luma = luma[:height, :width]
    if luma.size == 0:
        return np.empty((0, 36))
    scales = [_features(luma, PATCH), _features(_halved(luma), PATCH // 2)]
    return np.concatenate(scales, axis=1)


def _features(luma: Array, side: int) -> Array:
    rows, columns = luma.shape[0] // side, luma.shape[1] // side
    patches_NSS = (
        normalised(luma).reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(rows * columns, side, side)
    )
    n = len(patches_NSS)
    fit = fit_asymmetric(patches_NSS.reshape(n, -1))
    features = [fit.alpha_N, fit.scales * (fit.left_N + fit.right_N) / 2]
    for shift in NEIGHBOURS:
        products_NSS = patches_NSS * np.roll(patches_NSS, shift, axis=(1, 2))  # each patch closes on itself
        fit = fit_asymmetric(products_NSS.reshape(n, -1))
        features += [fit.alpha_N, fit.means, fit.scales * fit.left_N, fit.scales * fit.right_N]
    return np.stack(features, axis=1)


def _halved(luma: Array) -> Array:
    """Half size by an antialiased bicubic filter, on floats."""
    size = luma.shape[1] // 2, luma.shape[0] // 2
    image = Image.fromarray(luma.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float64)


@lru_cache(maxsize=1)
def _pristine() -> tuple[Array, Array]:
    """Mean (36,) and covariance (36, 36) of the features of pristine patches."""
    text = (files("zoom_iqa") / "peers" / "niqe_pristine.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table = np.array([[float(cell) for cell in row] for row in csv.reader(lines)])
    return table[0], table[1:]

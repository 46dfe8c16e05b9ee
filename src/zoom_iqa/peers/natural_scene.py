"""Statistics of natural scenes that NIQE and BRISQUE share: locally normalised luminance and the fits to its products.

Mittal, Moorthy, Bovik, "No-reference image quality assessment in the spatial domain", IEEE TIP 21(12), 2012 (equations
1 to 9); Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer", IEEE SPL 20(3), 2013.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import gammaln

Array = NDArray[np.float64]

WINDOW, WINDOW_SIGMA = 7, 7 / 6
"""The Gaussian window of local means: 7 x 7 pixels, three standard deviations to each side."""


@dataclass(frozen=True, eq=False)
class AsymmetricFit:
    """Asymmetric generalised Gaussians, one for each of N samples: shape, and root mean squares left and right of 0."""

    alpha_N: Array
    left_N: Array
    right_N: Array

    @property
    def scales(self) -> Array:
        """The factor that turns a root mean square into the distribution's scale beta."""
        return np.exp((gammaln(1 / self.alpha_N) - gammaln(3 / self.alpha_N)) / 2)

    @property
    def means(self) -> Array:
        """The distribution's mean, eta."""
        return (
            (self.right_N - self.left_N) * self.scales * np.exp(gammaln(2 / self.alpha_N) - gammaln(1 / self.alpha_N))
        )


def luminance(image: Image.Image) -> Array:
    """The luma of an RGB image on 0-255 (ITU-R BT.601, rounded), shape (height, width)."""
    return np.asarray(image.convert("L"), dtype=np.float64)


def normalised(luma: Array) -> Array:
    """Local mean taken off and divided by local deviation + 1 (luma on 0-255), same shape; edges are replicated."""
    mean = _smoothed(luma)
    deviation = np.sqrt(np.abs(_smoothed(luma * luma) - mean * mean))
    return (luma - mean) / (deviation + 1)


def fit_asymmetric(samples_NM: Array) -> AsymmetricFit:
    """Moment matching of each row of (N, M) samples (Lasmar, Stitou, Berthoumieu, ICIP 2009).

    A row without values on one side of 0 has NaN there: nothing can be fitted to it.
    """
    squares = samples_NM**2
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt((squares * side).sum(axis=1) / side.sum(axis=1)) for side in (samples_NM < 0, samples_NM > 0)
        )
        ratio = left / right
        moments = np.abs(samples_NM).mean(axis=1) ** 2 / squares.mean(axis=1)
        target = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    alphas, values = _shape_table()
    alpha = np.interp(target, values, alphas)
    return AsymmetricFit(np.where(np.isfinite(target), alpha, np.nan), left, right)


@lru_cache(maxsize=1)
def _shape_table() -> tuple[Array, Array]:
    """Shapes from 0.2 to 10, and gamma(2/a)^2 / (gamma(1/a) gamma(3/a)), which grows with the shape a."""
    alphas = np.arange(0.2, 10.0005, 0.001)
    return alphas, np.exp(2 * gammaln(2 / alphas) - gammaln(1 / alphas) - gammaln(3 / alphas))


def _smoothed(values: Array) -> Array:
    return np.asarray(
        cv2.GaussianBlur(values, (WINDOW, WINDOW), WINDOW_SIGMA, borderType=cv2.BORDER_REPLICATE), dtype=np.float64
    )

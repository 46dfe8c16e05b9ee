"""Changes of tone and sharpness: brighten, darken, mean shift, quantization, contrast, over-sharpening.

Images are (H, W, 3) uint8 RGB; curves map intensities in 0-1.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from zoom_iqa.data.distortions.color import from_lab, to_lab, to_uint8

INTENSITY = np.arange(256) / 255


def brighten(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Lift the middle tones by ``amount`` / 2, black and white fixed: two parts in RGB, one in the lightness of Lab."""
    middle = 0.5 + amount / 2
    lab = to_lab(image)
    lab[..., 0] = 100 * _parabola(lab[..., 0] / 100, middle)
    by_lightness = from_lab(lab)
    by_channel = cv2.LUT(image, to_uint8(255 * _parabola(INTENSITY, middle)))
    return cv2.addWeighted(by_channel, 2 / 3, by_lightness, 1 / 3, 0)


def darken(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Lower the middle tones by ``amount`` / 2, black and white fixed."""
    return cv2.LUT(image, to_uint8(255 * _parabola(INTENSITY, 0.5 - amount / 2)))


def mean_shift(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Add ``amount`` (in 0-1 units, of either sign) to every value."""
    return cv2.LUT(image, to_uint8(255 * (INTENSITY + amount)))


def quantization(image: np.ndarray, thresholds: float, rng: np.random.Generator) -> np.ndarray:
    """Cut the intensities by so many (rounded) thresholds of least within-class variance (Otsu), means for values."""
    classes = round(thresholds) + 1
    counts = np.bincount(image.reshape(-1), minlength=256).astype(np.float64)
    mass, moment = (np.concatenate([[0.0], np.cumsum(v)]) for v in (counts, counts * np.arange(256)))
    centres = np.linspace(0, 255, 2 * classes + 1)[1::2]
    for _ in range(15):  # Lloyd's iteration on the histogram
        bounds = np.concatenate([[0], np.ceil((centres[1:] + centres[:-1]) / 2), [256]]).astype(int)
        inside, total = np.diff(mass[bounds]), np.diff(moment[bounds])
        centres = np.where(inside > 0, total / np.maximum(inside, 1), centres)
    table = centres[np.searchsorted(bounds[1:-1], np.arange(256), side="right")]
    return cv2.LUT(image, to_uint8(table))


def high_sharpen(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Unsharp masking of the lightness of Lab, Gaussian of 3 pixels: halos along edges."""
    lab = to_lab(image)
    lightness = np.ascontiguousarray(lab[..., 0])
    soft = cv2.GaussianBlur(lightness, (13, 13), 3, borderType=cv2.BORDER_REPLICATE)
    lab[..., 0] = lightness + amount * (lightness - soft)
    return from_lab(lab)


def contrast_change(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Move the quarter tones by ``amount`` / 4 apart (or together, if negative); black, middle and white stay."""
    knots = (0.0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1.0)
    curve = CubicSpline((0.0, 0.3, 0.5, 0.7, 1.0), knots)
    return cv2.LUT(image, to_uint8(255 * curve(INTENSITY)))


def _parabola(values: np.ndarray, middle: float) -> np.ndarray:
    """The parabola through (0, 0), (0.5, middle) and (1, 1), clipped to 0-1."""
    slope = 4 * middle - 1
    return np.clip(((1 - slope) * values + slope) * values, 0, 1)

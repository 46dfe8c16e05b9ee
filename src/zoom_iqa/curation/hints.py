"""Measured properties of an image that a rater or a judge is told: brightness, contrast, colorfulness, sharpness.

A data set's own columns, where it publishes such, are other measures on other scales; these are of the pixels shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoom_iqa.base.types import Example, Mos

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""


def brightness(rgb_hwc: NDArray[np.uint8]) -> float:
    """Mean luma, from 0 (black) to 1 (white)."""
    return float(_luma(rgb_hwc).mean())


def contrast(rgb_hwc: NDArray[np.uint8]) -> float:
    """Root-mean-square contrast: the standard deviation of luma on 0-1 (Peli 1990), at most 0.5."""
    return float(_luma(rgb_hwc).std())


def colorfulness(rgb_hwc: NDArray[np.uint8]) -> float:
    """Hasler and Suesstrunk (2003), M3: sigma + 0.3 mu of the opponent axes R - G and (R + G) / 2 - B, on 0-255.

    0 is grey; the authors' observers called 33 moderately, 59 quite and 109 extremely colorful.
    """
    red, green, blue = np.moveaxis(rgb_hwc.astype(np.float64), -1, 0)
    axes = (red - green, (red + green) / 2 - blue)
    return float(np.hypot(*(axis.std() for axis in axes)) + 0.3 * np.hypot(*(axis.mean() for axis in axes)))


def sharpness(rgb_hwc: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of luma on 0-255 (Pech-Pacheco and others 2000); noise raises it as detail does."""
    return float(cv2.Laplacian(255 * _luma(rgb_hwc), cv2.CV_64F).var())


MEASURES: Mapping[str, Callable[[NDArray[np.uint8]], float]] = {
    "brightness": brightness,
    "contrast": contrast,
    "colorfulness": colorfulness,
    "sharpness": sharpness,
}


def hints_of(image: Image.Image, example: Example) -> dict[str, float]:
    """The mean opinion score where there is one, then every measure."""
    rgb_hwc = np.asarray(image)
    mos = {"MOS": example.target.mean} if isinstance(example.target, Mos) else {}
    return {**mos, **{name: measure(rgb_hwc) for name, measure in MEASURES.items()}}


def written_hints(hints: Mapping[str, float]) -> str:
    """A line a hint, in words that say its scale."""
    scales = {
        "MOS": "mean opinion score of people, 1 to 5, 5 best",
        "brightness": "0 black to 1 white",
        "contrast": "standard deviation of brightness, 0 to 0.5",
        "colorfulness": "0 grey, 33 moderate, 59 quite, 109 extremely colorful",
        "sharpness": "variance of the Laplacian; higher has more fine detail, or noise",
    }
    return "\n".join(f"- {name}: {value:.4g} ({scales[name]})" for name, value in hints.items())


def _luma(rgb_hwc: NDArray[np.uint8]) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = rgb_hwc.astype(np.float64) @ LUMA / 255
    return luma

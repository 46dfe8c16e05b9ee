"""Properties of an image that a rater or a judge is told: brightness, contrast, colorfulness, sharpness, and others.

Where a data set publishes a property, its own value is told, with its place among the set's images, as its scale is its
publisher's; else it is measured on the pixels shown.
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


SCALES = {
    "brightness": "0 black to 1 white",
    "contrast": "standard deviation of brightness, 0 to 0.5",
    "colorfulness": "0 grey, 33 moderate, 59 quite, 109 extremely colorful",
    "sharpness": "variance of the Laplacian; higher has more fine detail, or noise",
}


def hints_of(image: Image.Image, example: Example) -> dict[str, str]:
    """Values with their scales in words, by name: people's score where there is one, what the data set publishes, and
    every measure of ours whose name it does not publish.
    """
    rgb_hwc = np.asarray(image)
    found: dict[str, str] = {}
    if isinstance(example.target, Mos):
        found["MOS"] = f"{example.target.mean:.4g} (mean opinion score of people, 1 to 5, 5 best)"
    for one in example.indicators:
        found[one.name] = f"{one.value:.4g} (as the data set publishes it; higher than {one.above:.0%} of its images)"
    for name, measure in MEASURES.items():
        if name not in found:
            found[name] = f"{measure(rgb_hwc):.4g} ({SCALES[name]})"
    return found


def written_hints(hints: Mapping[str, str]) -> str:
    """A line a hint."""
    return "\n".join(f"- {name}: {value}" for name, value in hints.items())


def _luma(rgb_hwc: NDArray[np.uint8]) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = rgb_hwc.astype(np.float64) @ LUMA / 255
    return luma

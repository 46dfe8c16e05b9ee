"""Exposures as cameras get them wrong, on linear light: too little of it, and too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_GAMMA = 2.2


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A light within the picture: its place and its reach in shares of the picture's sides and width, its ``gain``."""

    x: float
    y: float
    reach: float
    gain: float


def low_light(image: np.ndarray, *, stops: float, gains: tuple[float, float, float], lamp: Lamp | None) -> np.ndarray:
    """``image`` (H, W, 3) uint8 RGB with ``stops`` less light.

    ``gains`` are those of the colour channels in such light. A ``lamp`` multiplies the light by 1 + gain around it,
    falling off as a Gaussian, so that it may burn out while the rest is dark.
    """
    light = _linear(image) * (2.0**-stops * np.asarray(gains))
    if lamp is not None:
        height, width = image.shape[:2]
        y, x = np.mgrid[0:height, 0:width]
        distance = np.hypot(x - lamp.x * width, y - lamp.y * height) / width
        light *= (1 + lamp.gain * np.exp(-((distance / lamp.reach) ** 2)))[..., None]
    return _coded(light)


def over_exposed(image: np.ndarray, *, stops: float) -> np.ndarray:
    """``image`` (H, W, 3) uint8 RGB with ``stops`` more light; what is then too bright is white."""
    return _coded(_linear(image) * 2.0**stops)


def _linear(image: np.ndarray) -> np.ndarray:
    return (np.arange(256) / 255)[image] ** _GAMMA


def _coded(light: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / _GAMMA)).astype(np.uint8)

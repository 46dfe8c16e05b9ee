"""Blurs: Gaussian, lens (a disc) and motion (a line). Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math

import cv2
import numpy as np


def gaussian_blur(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of standard deviation ``sigma`` in pixels."""
    size = 2 * math.ceil(2 * sigma) + 1
    return cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)


def lens_blur(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with a disc of ``radius`` in pixels, as an out-of-focus lens does."""
    return cv2.filter2D(image, -1, _disc(radius), borderType=cv2.BORDER_REPLICATE)


def motion_blur(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Blur along a line of ``length`` pixels (1: none) at a random angle."""
    kernel = _line(length, rng.uniform(0.0, math.pi))
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def _disc(radius: float) -> np.ndarray:
    """Disc whose border pixels weigh by the share covered, measured on an 8 x 8 subgrid of each pixel."""
    half = math.ceil(radius - 0.5)
    size, sub = 2 * half + 1, 8
    axis = (np.arange(size * sub) + 0.5) / sub - size / 2
    inside = (axis[:, None] ** 2 + axis[None, :] ** 2 <= radius**2).astype(np.float32)
    kernel = inside.reshape(size, sub, size, sub).mean(axis=(1, 3))
    return kernel / kernel.sum()


def _line(length: float, angle: float) -> np.ndarray:
    """Line through the centre, its samples shared bilinearly between the four nearest pixels."""
    reach = (length - 1) / 2
    half = math.ceil(reach)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    t = np.linspace(-reach, reach, 16 * half + 1)
    x, y = half + t * math.cos(angle), half - t * math.sin(angle)
    x0 = np.clip(np.floor(x).astype(int), 0, 2 * half)
    y0 = np.clip(np.floor(y).astype(int), 0, 2 * half)
    fx, fy = x - x0, y - y0
    for dx, dy, weight in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        np.add.at(kernel, (np.minimum(y0 + dy, 2 * half), np.minimum(x0 + dx, 2 * half)), weight)
    return kernel / kernel.sum()

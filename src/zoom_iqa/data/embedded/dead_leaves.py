"""Procedural scenes after the dead-leaves model: shapes that hide each other, sizes by a power law, 1/f textures.

Natural images share these statistics (Lee, Mumford, Huang, IJCV 2001), and networks trained on such scenes carry over
to photographs (Baradad et al., NeurIPS 2021). Colours are drawn from a palette, usually pixels of a photograph.
Shapes: H, W the scene; S shapes; C corners.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TEXTURE_SIZE = 512
TEXTURES = 6
SHAPES = 420
SMALLEST, LARGEST = 5.0, 180.0  # radius in pixels
STRONGEST = 0.3  # standard deviation of a leaf's texture, as a share of its intensity


def dead_leaves(*, width: int, height: int, palette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scene of (height, width, 3) uint8 RGB. ``palette`` (N, 3) uint8: colours to draw from."""
    leaves_HW4 = _leaves(width, height, palette, rng)
    texture = _texture(int(rng.integers(TEXTURES)))
    y, x = rng.integers(0, TEXTURE_SIZE, size=2)
    grain_HW = texture[np.ix_((y + np.arange(height)) % TEXTURE_SIZE, (x + np.arange(width)) % TEXTURE_SIZE)]
    contrast_HW = cv2.extractChannel(leaves_HW4, 3)
    light_HW = 1 + cv2.multiply(contrast_HW, grain_HW, scale=STRONGEST / 255, dtype=cv2.CV_32F)
    scene = cv2.multiply(leaves_HW4[..., :3], cv2.merge([light_HW] * 3), dtype=cv2.CV_8U)
    return cv2.GaussianBlur(scene, (3, 3), rng.uniform(0.4, 0.6))  # the lens: soft steps instead of stairs


def _leaves(width: int, height: int, palette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flat shapes that hide each other: (height, width, 4) uint8, colour and contrast of texture (255 strongest)."""
    colors = palette[rng.integers(0, len(palette), size=SHAPES + 1)].tolist()
    contrasts = np.minimum(255, 255 * rng.gamma(1.2, 0.3, size=SHAPES + 1)).astype(int).tolist()
    leaves_HW4 = np.full((height, width, 4), (*colors[-1], contrasts[-1]), np.uint8)
    # Radii of density r^-3, by inverse transform: every scale covers a like share of the area.
    u = rng.random(SHAPES)
    radii = 1 / np.sqrt(u / SMALLEST**2 + (1 - u) / LARGEST**2)
    radii[: SHAPES // 20] = rng.uniform(80, LARGEST, size=SHAPES // 20)  # the ground, drawn first
    corners_S = np.where(rng.random(SHAPES) < 0.5, rng.integers(3, 8, size=SHAPES), 24)  # polygons and ellipses
    outlines = _outlines(radii, corners_S, rng) + rng.random((SHAPES, 1, 2)) * (width, height)
    points = np.rint(outlines).astype(np.int32)
    for index in range(SHAPES):
        cv2.fillPoly(leaves_HW4, [points[index, : corners_S[index]]], (*colors[index], contrasts[index]))
    return leaves_HW4


def _outlines(radii_S: np.ndarray, corners_S: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Corners around the origin, (S, 24, 2), of which shape s uses the first ``corners_S[s]``; squeezed and turned."""
    turn_SC = np.arange(24) * (2 * np.pi / corners_S[:, None])
    uneven_SC = np.where(corners_S[:, None] < 24, rng.uniform(0.6, 1.0, size=(SHAPES, 24)), 1.0)
    x_SC = radii_S[:, None] * uneven_SC * np.cos(turn_SC)
    y_SC = radii_S[:, None] * uneven_SC * np.sin(turn_SC) * rng.uniform(0.15, 1.0, size=(SHAPES, 1))
    angle_S1 = rng.uniform(0, 2 * np.pi, size=(SHAPES, 1))
    cos, sin = np.cos(angle_S1), np.sin(angle_S1)
    return np.stack([x_SC * cos - y_SC * sin, x_SC * sin + y_SC * cos], axis=2)


@lru_cache(maxsize=TEXTURES)
def _texture(number: int) -> np.ndarray:
    """Noise whose amplitude falls as 1/f^a, a between 0.8 and 1.4, tileable, of zero mean and unit variance."""
    rng = np.random.default_rng([17, number])
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(TEXTURE_SIZE), np.fft.fftfreq(TEXTURE_SIZE)))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE)))
    noise = np.fft.irfft2(spectrum / frequency ** (0.8 + 0.6 * number / (TEXTURES - 1)))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)

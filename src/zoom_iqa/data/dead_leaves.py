"""Procedural scenes after the dead-leaves model: shapes that hide each other, sizes by a power law, 1/f textures.

Natural images share these statistics (Lee, Mumford, Huang, IJCV 2001), and networks trained on such scenes carry over
to photographs (Baradad et al., NeurIPS 2021). Colours are drawn from a palette, usually pixels of a photograph.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TEXTURE_SIZE = 512
TEXTURES = 6
SHAPES = 420
SMALLEST, LARGEST = 5.0, 180.0  # radius in pixels


def dead_leaves(*, width: int, height: int, palette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scene of (height, width, 3) uint8 RGB. ``palette`` (N, 3): colours to draw from."""
    leaf_HW = _leaves(width, height, rng)
    count = SHAPES + 1
    color_L3 = palette[rng.integers(0, len(palette), size=count)].astype(np.float32)
    contrast_L = np.minimum(rng.gamma(1.2, 0.1, size=count), 0.3).astype(np.float32)
    shade_L2 = rng.normal(0, 0.25, size=(count, 2)).astype(np.float32)

    texture = _texture(int(rng.integers(TEXTURES)))
    offset_L2 = rng.integers(0, TEXTURE_SIZE, size=(count, 2))
    rows, columns = np.mgrid[:height, :width]
    grain_HW = texture[(rows + offset_L2[leaf_HW, 0]) % TEXTURE_SIZE, (columns + offset_L2[leaf_HW, 1]) % TEXTURE_SIZE]
    x_HW = columns.astype(np.float32) / width - 0.5
    y_HW = rows.astype(np.float32) / height - 0.5
    light_HW = 1 + contrast_L[leaf_HW] * grain_HW + shade_L2[leaf_HW, 0] * x_HW + shade_L2[leaf_HW, 1] * y_HW
    scene = color_L3[leaf_HW] * light_HW[..., None]
    scene = cv2.GaussianBlur(scene, (3, 3), rng.uniform(0.4, 0.6))  # the lens: soft steps instead of stairs
    return np.clip(scene, 0, 255).astype(np.uint8)


def _leaves(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Number of the front-most shape at each pixel, (height, width) int32; 0 where none lies."""
    leaf_HW = np.zeros((height, width), np.int32)
    # Radii of density r^-3, by inverse transform: every scale covers a like share of the area.
    u = rng.random(SHAPES)
    radii = 1 / np.sqrt(u / SMALLEST**2 + (1 - u) / LARGEST**2)
    radii[: SHAPES // 20] = rng.uniform(80, LARGEST, size=SHAPES // 20)  # the ground, drawn first
    centres = rng.random((SHAPES, 2)) * (width, height)
    kinds = rng.random(SHAPES)
    corners = rng.integers(3, 8, size=SHAPES)
    angles = rng.uniform(0, 2 * np.pi, size=SHAPES)
    aspects = rng.uniform(0.15, 1.0, size=SHAPES)
    jitters = rng.uniform(0.6, 1.0, size=(SHAPES, 8))
    for index in range(SHAPES):
        count = int(corners[index]) if kinds[index] < 0.5 else 24
        turn = np.arange(count) * (2 * np.pi / count)
        reach = radii[index] * (jitters[index, :count] if count < 8 else 1.0)
        x, y = reach * np.cos(turn), reach * np.sin(turn) * aspects[index]
        cos, sin = np.cos(angles[index]), np.sin(angles[index])
        outline = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1) + centres[index]
        cv2.fillPoly(leaf_HW, [np.rint(outline).astype(np.int32)], index + 1)
    return leaf_HW


@lru_cache(maxsize=TEXTURES)
def _texture(number: int) -> np.ndarray:
    """Noise whose amplitude falls as 1/f^a, a between 0.8 and 1.4, tileable, of zero mean and unit variance."""
    rng = np.random.default_rng([17, number])
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(TEXTURE_SIZE), np.fft.fftfreq(TEXTURE_SIZE)))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE)))
    noise = np.fft.irfft2(spectrum / frequency ** (0.8 + 0.6 * number / (TEXTURES - 1)))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)

"""Spatial distortions: jitter, misplaced patches, pixelation, colour blocks. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np

from zoom_iqa.data.distortions.noise import gaussian

PATCH = 16
BLOCK = 32
SCATTERINGS = 5


def jitter(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Five times over, take each pixel from a place displaced by Gaussian steps of ``amount`` pixels.

    The five displacement fields are windows, one pixel patch apart, of one larger field: as good as independent here.
    """
    height, width = image.shape[:2]
    margin = PATCH * (SCATTERINGS - 1)
    steps = gaussian((2, height + margin, width + margin), amount, rng)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for offset in range(0, margin + 1, PATCH):
        dx, dy = steps[:, offset : offset + height, offset : offset + width]
        image = cv2.remap(image, columns + dx, rows + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image


def non_eccentricity_patch(image: np.ndarray, patches: float, rng: np.random.Generator) -> np.ndarray:
    """Copy so many (rounded) patches of 16 x 16 pixels to places up to 8 pixels off."""
    out = image.copy()
    height, width = image.shape[:2]
    ph, pw = min(PATCH, height), min(PATCH, width)
    for _ in range(round(patches)):
        y, x = rng.integers(0, height - ph + 1), rng.integers(0, width - pw + 1)
        dy, dx = rng.integers(-PATCH // 2, PATCH // 2 + 1, size=2)
        ty, tx = min(max(y + dy, 0), height - ph), min(max(x + dx, 0), width - pw)
        out[ty : ty + ph, tx : tx + pw] = out[y : y + ph, x : x + pw].copy()
    return out


def pixelate(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink to 0.95 - strength^0.6 of each side and enlarge again, nearest neighbour both ways."""
    height, width = image.shape[:2]
    scale = 0.95 - strength**0.6
    small = cv2.resize(
        image, (max(1, int(width * scale)), max(1, int(height * scale))), interpolation=cv2.INTER_NEAREST
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def color_block(image: np.ndarray, blocks: float, rng: np.random.Generator) -> np.ndarray:
    """Cover the image with so many (rounded) blocks of 32 x 32 pixels, each of one random colour."""
    out = image.copy()
    height, width = image.shape[:2]
    bh, bw = min(BLOCK, height), min(BLOCK, width)
    for _ in range(round(blocks)):
        y, x = rng.integers(0, height - bh + 1), rng.integers(0, width - bw + 1)
        out[y : y + bh, x : x + bw] = rng.integers(0, 256, size=3)
    return out

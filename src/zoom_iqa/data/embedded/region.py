"""Changes of the picture before it is distorted, and distortion of one region of it. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np

from zoom_iqa.data.distortions import Distortion, distort

Region = tuple[float, float, float, float]
"""(x1, y1, x2, y2) as fractions of width and height."""

FEATHER = 6  # pixels over which the distortion fades in, inside the region
CANDIDATES = 4
SMALLEST_SIDE = 0.85
GAMMA = 0.2


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random flip, crop of at least 0.85 of each side brought back to size, and mild gamma; size is kept.

    The crop is no smaller because enlarging softens, and what is given to a distortion counts as pristine.
    """
    height, width = image.shape[:2]
    scale = rng.uniform(SMALLEST_SIDE, 1.0)
    ch, cw = max(1, round(height * scale)), max(1, round(width * scale))
    y, x = rng.integers(0, height - ch + 1), rng.integers(0, width - cw + 1)
    out = cv2.resize(image[y : y + ch, x : x + cw], (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        out = cv2.flip(out, 1)
    gamma = np.exp(rng.uniform(-GAMMA, GAMMA))
    return cv2.LUT(out, np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))


def choose_region(image: np.ndarray, extent: tuple[float, float], rng: np.random.Generator) -> Region:
    """Of four random places for a region of ``extent`` (width, height as fractions), the one with most detail.

    A distortion of fine scale does not show in a clear sky, and its score would be wrong there.
    """
    height, width = image.shape[:2]
    rw, rh = max(1, round(extent[0] * width)), max(1, round(extent[1] * height))
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    detail = cv2.integral(cv2.absdiff(gray, cv2.blur(gray, (5, 5))))
    xs = rng.integers(0, width - rw + 1, size=CANDIDATES)
    ys = rng.integers(0, height - rh + 1, size=CANDIDATES)
    sums = detail[ys + rh, xs + rw] - detail[ys, xs + rw] - detail[ys + rh, xs] + detail[ys, xs]
    best = int(np.argmax(sums))
    x, y = int(xs[best]), int(ys[best])
    return x / width, y / height, (x + rw) / width, (y + rh) / height


def distort_region(
    image: np.ndarray, *, kind: Distortion, level: float, region: Region, rng: np.random.Generator
) -> np.ndarray:
    """Distort ``image`` inside ``region`` only, fading in from the region's border inwards.

    The whole image is distorted and the region taken from it: a codec spends as many bits on it as the score supposes.
    """
    height, width = image.shape[:2]
    x1, x2 = round(region[0] * width), round(region[2] * width)
    y1, y2 = round(region[1] * height), round(region[3] * height)
    changed = distort(image, kind=kind, level=level, rng=rng)[y1:y2, x1:x2]
    weight_HW = np.minimum.outer(_ramp(y2 - y1), _ramp(x2 - x1))[..., None]
    out = image.copy()
    inside = out[y1:y2, x1:x2]
    out[y1:y2, x1:x2] = np.rint(weight_HW * changed + (1 - weight_HW) * inside).astype(np.uint8)
    return out


def _ramp(length: int) -> np.ndarray:
    """Weights along a side: up from near 0 to 1 over ``FEATHER`` pixels, and down again."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(distance / FEATHER, 1).astype(np.float32)

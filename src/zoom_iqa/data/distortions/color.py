"""Changes of colour: diffusion, shift, quantization, saturation in HSV and in Lab. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image


def to_lab(image: np.ndarray) -> np.ndarray:
    """CIE Lab, float32: L in 0-100, a and b unbounded."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """Back to uint8 RGB; colours outside the gamut are clipped."""
    return to_uint8(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped to 0-255; OpenCV's saturating cast does it in one pass."""
    return cv2.addWeighted(values, 1.0, values, 0.0, 0.0, dtype=cv2.CV_8U).reshape(values.shape)


def color_diffusion(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Blur the colour channels of Lab by sigma = 1.5 amount + 2 and multiply them by ``amount``: colours run."""
    lab = to_lab(image)
    lab[..., 1:] = amount * _wide_blur(np.ascontiguousarray(lab[..., 1:]), 1.5 * amount + 2)
    return from_lab(lab)


def color_shift(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Move the green channel by about ``amount`` pixels in a random direction, seen where the image has edges.

    The moved channel is blended in by the smoothed gradient magnitude, stretched between its 1st and 99th percentile.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = cv2.magnitude(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    edges = cv2.GaussianBlur(edges, (17, 17), 4, borderType=cv2.BORDER_REPLICATE)
    low, high = np.percentile(edges, (1, 99))
    weight = np.clip((edges - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)

    angle = rng.uniform(0, 2 * math.pi)
    dx, dy = round(amount * math.cos(angle)), round(amount * math.sin(angle))
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    green = np.ascontiguousarray(image[..., 1])
    height, width = green.shape
    moved = cv2.warpAffine(green, shift, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    out = image.copy()
    out[..., 1] = to_uint8(weight * moved + (1 - weight) * green)
    return out


def color_quantization(image: np.ndarray, colors: float, rng: np.random.Generator) -> np.ndarray:
    """Reduce to a palette of ``colors`` (rounded) colours, with Floyd-Steinberg dithering.

    The palette is a median cut, refined by k-means, of every eighth pixel: as good to the eye as one of all pixels.
    """
    step = min(8, *image.shape[:2])
    sample = Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    palette = sample.quantize(round(colors), Image.Quantize.MEDIANCUT, kmeans=2)
    return np.asarray(
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    )


def saturation_hsv(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the saturation of HSV by ``factor``; a negative one turns colours into their complements.

    With value v = max(R, G, B), hue and value fixed, each channel c of HSV is v - s (v - c) / s0: linear in s.
    """
    red, green, blue = cv2.split(image)
    value = cv2.cvtColor(cv2.max(cv2.max(red, green), blue), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(value, 1 - factor, image, factor, 0)


def saturation_lab(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the colour channels of Lab by ``factor``: colours become garish."""
    lab = to_lab(image)
    lab[..., 1:] *= factor
    return from_lab(lab)


def _wide_blur(channels: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur by ``sigma``, a wide one at reduced size, where it costs little and looks the same."""
    height, width = channels.shape[:2]
    factor = min(max(1, int(sigma // 2)), height, width)
    small = cv2.resize(channels, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)

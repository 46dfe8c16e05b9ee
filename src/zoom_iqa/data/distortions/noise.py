"""Noises, and what denoising leaves behind. Variances are of intensities in 0-1. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math

import cv2
import numpy as np

from zoom_iqa.data.distortions.color import to_uint8

# BT.601, studio range: how a unit change of Y, Cb and Cr moves R, G and B.
YCBCR_TO_RGB = np.array([[1.164, 0.0, 1.596], [1.164, -0.392, -0.813], [1.164, 2.017, 0.0]], np.float32)

# Standard deviation of white noise of unit variance in each detail band of an OpenCV Laplacian pyramid (measured).
BAND_STD = (0.943, 0.230, 0.101, 0.049)
WIENER = 1.3  # above 1, because the energy is itself estimated from 75 values


def white_noise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of ``variance`` to R, G and B alike."""
    return to_uint8(image + gaussian(image.shape, 255 * math.sqrt(variance), rng))


def white_noise_ycbcr(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of ``variance`` to Y, Cb and Cr: coloured grain."""
    return to_uint8(image + cv2.transform(gaussian(image.shape, 255 * math.sqrt(variance), rng), YCBCR_TO_RGB))


def impulse_noise(image: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    """Set a share ``density`` of all channel values to 0 or 255 (salt and pepper)."""
    out = image.copy()
    count = max(1, round(density * image.size))
    where = rng.integers(0, image.size, size=count)
    out.reshape(-1)[where] = rng.integers(0, 2, size=count, dtype=np.uint8) * 255
    return out


def multiplicative_noise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply by 1 + n, n uniform with mean 0 and ``variance`` (speckle)."""
    gain = 1 + math.sqrt(12 * variance) * (rng.random(image.shape, dtype=np.float32) - 0.5)
    return to_uint8(image * gain)


def denoise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of ``variance`` and take it away again: fine detail goes with it, blotches stay.

    KADID-10k denoises with a network (DnCNN). Here each band of a Laplacian pyramid is shrunk by the local Wiener gain
    1 - noise / energy (Mihcak et al. 1999), which smears alike in a hundredth of the time.
    """
    sigma = 255 * math.sqrt(variance)
    current = np.clip(image + gaussian(image.shape, 255 * math.sqrt(variance), rng), 0, 255)
    details = []
    for std in BAND_STD:
        if min(current.shape[:2]) < 2:
            break
        smaller = cv2.pyrDown(current)
        detail = current - cv2.pyrUp(smaller, dstsize=current.shape[1::-1])
        energy = cv2.boxFilter(cv2.transform(detail * detail, np.full((1, 3), 1 / 3, np.float32)), -1, (5, 5))
        gain = np.clip(1 - WIENER * (sigma * std) ** 2 / np.maximum(energy, 1e-6), 0, 1)
        details.append(detail * gain[..., None])
        current = smaller
    for detail in reversed(details):
        current = cv2.pyrUp(current, dstsize=detail.shape[1::-1]) + detail
    return to_uint8(current)


def gaussian(shape: tuple[int, ...], std: float, rng: np.random.Generator) -> np.ndarray:
    """Independent normal values of mean 0, float32, from OpenCV's generator (three times faster) seeded by ``rng``."""
    cv2.setRNGSeed(int(rng.integers(1, 2**31)))
    values = np.empty(shape, np.float32)
    cv2.randn(
        values.reshape(shape[0], -1), np.zeros(1), np.full(1, std)
    )  # one channel: a mean and std per channel else
    return values

"""Compression by real codecs: JPEG and JPEG 2000. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image


def jpeg(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """``jpeg_coded``; nothing is drawn."""
    return jpeg_coded(image, round(quality))


def jpeg_coded(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode as JPEG of ``quality`` (libjpeg's 1-100), chroma at half resolution, and decode."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def jpeg2000(image: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Encode as JPEG 2000 at 1/``ratio`` of the uncompressed size with the 9/7 wavelet, and decode."""
    buffer = io.BytesIO()
    resolutions = min(6, min(image.shape[:2]).bit_length())
    Image.fromarray(image).save(
        buffer,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[ratio],
        irreversible=True,
        num_resolutions=resolutions,
    )
    return np.asarray(Image.open(buffer).convert("RGB"))

"""The embedded restorer: edits of pixels that repair one kind of defect each, without any model.

Each edit is automatic: its strength follows from the pixels. Images are (H, W, 3) uint8 RGB of any size; a result has
the size and the type of its image. A region gets its edit through a soft border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from zoom_iqa.base.types import Region

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = np.ndarray
BLOCK = 8
"""Side of a JPEG block."""
MIDDLE_GREY = 0.46
"""Mean luma that exposure is drawn towards, on 0-1."""
SOFT_BORDER = 0.04
"""Width of a region's border, as a share of the longer side."""
BLUR_SIGMA, DEBLUR_STEPS = 1.4, 8
USUAL_CHROMA = 20.0
"""Mean distance from grey of a photograph's colours, in Lab."""


def denoise(image: Pixels) -> Pixels:
    """Non-local means (Buades et al. 2005), as strong as the noise that Immerkaer's filter finds (1996)."""
    strength = float(np.clip(noise_sigma(image), 3.0, 25.0))
    return cv2.fastNlMeansDenoisingColored(image, None, strength, strength, 5, 13)


def clean_colour(image: Pixels) -> Pixels:
    """A median of the colour planes alone: colour noise, fringes and bleeding go, the luma stays."""
    whole = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    colours = [cv2.medianBlur(np.ascontiguousarray(whole[..., plane]), 7) for plane in (1, 2)]
    return cv2.cvtColor(np.stack([whole[..., 0], *colours], axis=-1), cv2.COLOR_YCrCb2RGB)


def despeckle(image: Pixels) -> Pixels:
    """A median over 3 x 3 pixels."""
    return cv2.medianBlur(image, 3)


def deblock(image: Pixels) -> Pixels:
    """A bilateral filter (Tomasi and Manduchi 1998) as wide as half a block."""
    return cv2.bilateralFilter(image, BLOCK, 22.0, BLOCK / 2)


def deblur(image: Pixels) -> Pixels:
    """Richardson-Lucy deconvolution of the luma with a Gaussian."""
    luma, colour = _luma(image)
    seen = luma.astype(np.float32) / 255 + 1e-3
    guess = seen.copy()
    for _ in range(DEBLUR_STEPS):
        guess *= _blurred(seen / np.maximum(_blurred(guess, BLUR_SIGMA), 1e-3), BLUR_SIGMA)
    return _with_luma(255 * (guess - 1e-3), colour)


def sharpen(image: Pixels) -> Pixels:
    """Unsharp masking of the luma."""
    luma, colour = _luma(image)
    values = luma.astype(np.float32)
    return _with_luma(values + 0.8 * (values - _blurred(values, 1.5)), colour)


def soften(image: Pixels) -> Pixels:
    """Unsharp masking turned round: halos of oversharpening shrink."""
    luma, colour = _luma(image)
    values = luma.astype(np.float32)
    return _with_luma(values - 0.6 * (values - _blurred(values, 1.5)), colour)


def brighten(image: Pixels) -> Pixels:
    """A gamma that lifts shadows half the way to middle grey."""
    return _exposed(image, upwards=True)


def darken(image: Pixels) -> Pixels:
    """A gamma that lowers highlights half the way to middle grey."""
    return _exposed(image, upwards=False)


def contrast(image: Pixels) -> Pixels:
    """Tones stretched to the whole scale; or, if they fill it already, drawn towards their mean."""
    luma, colour = _luma(image)
    values = luma.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    if high - low < 1:
        return image
    if high - low < 235:
        return _with_luma((values - low) * (250 / (high - low)) + 3, colour)
    return _with_luma(values.mean() + 0.8 * (values - values.mean()), colour)


def saturate(image: Pixels) -> Pixels:
    """Chroma raised half the way to that of a usual photograph, by a tenth at least."""
    return _with_chroma(image, lambda factor: max(1.1, factor))


def desaturate(image: Pixels) -> Pixels:
    """Chroma lowered half the way to that of a usual photograph, by a tenth at least."""
    return _with_chroma(image, lambda factor: min(0.9, factor))


def balance(image: Pixels) -> Pixels:
    """Half of the cast taken out that the mean of all pixels has against grey."""
    lab = _lab(image)
    lab[..., 1:] -= 0.5 * lab[..., 1:].mean((0, 1))
    return _from_lab(lab)


def smooth_gradients(image: Pixels) -> Pixels:
    """A wide bilateral filter that evens steps of tone and keeps edges."""
    return cv2.bilateralFilter(image, 9, 14.0, 5.0)


def smooth_edges(image: Pixels) -> Pixels:
    """Halved and enlarged again (Lanczos): stairs along edges become lines."""
    height, width = image.shape[:2]
    half = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (width, height), interpolation=cv2.INTER_LANCZOS4)


EDITS: dict[str, Callable[[Pixels], Pixels]] = {
    "denoise": denoise,
    "clean_colour": clean_colour,
    "despeckle": despeckle,
    "deblock": deblock,
    "smooth_gradients": smooth_gradients,
    "smooth_edges": smooth_edges,
    "deblur": deblur,
    "sharpen": sharpen,
    "soften": soften,
    "brighten": brighten,
    "darken": darken,
    "contrast": contrast,
    "saturate": saturate,
    "desaturate": desaturate,
    "balance": balance,
}
"""In the order in which several are applied: noise is taken out before detail is raised, tones come last."""


def edited(image: Image, edit: str, region: Region | None) -> Image:
    """``image`` after the edit of that name, all over or in a region."""
    from PIL.Image import fromarray

    before = np.asarray(image.convert("RGB"))
    after = EDITS[edit](np.ascontiguousarray(before))
    if region is not None:
        share = _share(before.shape[0], before.shape[1], region)[..., None]
        after = _bytes(before + share * (after.astype(np.float32) - before))
    return fromarray(after)


def noise_sigma(image: Pixels) -> float:
    """Standard deviation of white noise on 0-255 (Immerkaer, Fast noise variance estimation, CVIU 64(2), 1996)."""
    luma = _luma(image)[0].astype(np.float32)
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.abs(cv2.filter2D(luma, -1, mask)).mean() * math.sqrt(math.pi / 2) / 6)


def _share(height: int, width: int, region: Region) -> Pixels:
    """How much of an edit each pixel gets, (H, W) on 0-1."""
    x1, y1, x2, y2 = region
    share = np.zeros((height, width), np.float32)
    share[round(y1 * height) : math.ceil(y2 * height), round(x1 * width) : math.ceil(x2 * width)] = 1
    return _blurred(share, max(0.3, SOFT_BORDER * max(height, width) / 2))


def _exposed(image: Pixels, *, upwards: bool) -> Pixels:
    luma, _ = _luma(image)
    mean = float(np.clip(luma.mean() / 255, 0.02, 0.98))
    wanted = (mean + MIDDLE_GREY) / 2
    wanted = max(wanted, mean + 0.04) if upwards else min(wanted, mean - 0.04)
    gamma = float(np.clip(math.log(np.clip(wanted, 0.02, 0.98)) / math.log(mean), 0.4, 2.5))
    table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
    return cv2.LUT(image, table)


def _with_chroma(image: Pixels, bounded: Callable[[float], float]) -> Pixels:
    lab = _lab(image)
    chroma = float(np.hypot(lab[..., 1], lab[..., 2]).mean())
    lab[..., 1:] *= bounded(float(np.clip((1 + USUAL_CHROMA / max(chroma, 1e-3)) / 2, 0.5, 1.6)))
    return _from_lab(lab)


def _luma(image: Pixels) -> tuple[Pixels, Pixels]:
    """Luma (H, W) and the whole as YCrCb."""
    whole = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    return whole[..., 0], whole


def _with_luma(luma: Pixels, colour: Pixels) -> Pixels:
    whole = colour.copy()
    whole[..., 0] = _bytes(luma)
    return cv2.cvtColor(whole, cv2.COLOR_YCrCb2RGB)


def _lab(image: Pixels) -> Pixels:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def _from_lab(lab: Pixels) -> Pixels:
    return _bytes(255 * cv2.cvtColor(lab, cv2.COLOR_Lab2RGB))


def _blurred(values: Pixels, sigma: float) -> Pixels:
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _bytes(values: Pixels) -> Pixels:
    """The nearest tones that there are: an edit may go beyond white or black, which a picture cannot."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

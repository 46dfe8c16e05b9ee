"""Words for each of KADID-10k's 25 distortions: its name, its look from close by, and its absence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from zoom_iqa.base.denial import is_denied

SEVERITIES = ("faint", "mild", "clear", "strong", "severe")
"""Words for the levels 1 to 5 of a distortion."""

Family = Literal["blur", "colour", "compression", "noise", "light", "structure", "none"]


@dataclass(frozen=True)
class Defect:
    """``noun`` names it in a word or two, ``phrase`` describes it, ``ideal`` names its absence in positive words.

    Defects of one ``family`` look alike.
    """

    noun: str
    phrase: str
    ideal: str
    family: Family


DEFECTS: dict[str, Defect] = {
    "gaussian_blur": Defect("blur", "soft, even blur", "crisp edges", "blur"),
    "lens_blur": Defect("defocus", "out-of-focus blur", "sharp focus", "blur"),
    "motion_blur": Defect("motion blur", "blur streaked in one direction", "steady detail", "blur"),
    "color_diffusion": Defect("colour bleeding", "colours bleeding across edges", "clean colour edges", "colour"),
    "color_shift": Defect("colour fringes", "colour fringes along edges", "aligned colours", "colour"),
    "color_quantization": Defect(
        "posterised colour", "colours reduced to flat patches", "smooth colour gradients", "colour"
    ),
    "color_saturation_1": Defect("faded colour", "washed-out, greyish colours", "full colours", "colour"),
    "color_saturation_2": Defect("garish colour", "oversaturated, garish colours", "natural colours", "colour"),
    "jpeg2000": Defect(
        "smeared texture", "smearing and ringing of wavelet compression", "clear texture", "compression"
    ),
    "jpeg": Defect("blocking", "blocks and ringing of JPEG compression", "smooth surfaces", "compression"),
    "white_noise": Defect("noise", "random noise grain", "clean surfaces", "noise"),
    "white_noise_color_component": Defect("colour noise", "blotchy colour noise", "clean colours", "noise"),
    "impulse_noise": Defect("speckles", "scattered black and white specks", "clean pixels", "noise"),
    "multiplicative_noise": Defect("bright grain", "grain that grows with brightness", "clean highlights", "noise"),
    "denoise": Defect("oil-paint look", "detail smeared by denoising", "lifelike texture", "compression"),
    "brighten": Defect("overexposure", "blown, overexposed tones", "balanced highlights", "light"),
    "darken": Defect("underexposure", "dark, underexposed tones", "open shadows", "light"),
    "mean_shift": Defect("shifted tone", "all tones moved off balance", "true tones", "light"),
    "jitter": Defect("jagged detail", "detail scattered pixel by pixel", "coherent detail", "structure"),
    "non_eccentricity_patch": Defect(
        "misplaced patches", "small patches copied to wrong places", "intact structure", "structure"
    ),
    "pixelate": Defect("pixelation", "coarse, visible pixels", "fine resolution", "structure"),
    "quantization": Defect("banding", "tones broken into bands", "smooth gradients", "colour"),
    "color_block": Defect("colour blocks", "solid blocks of foreign colour", "an unbroken scene", "structure"),
    "high_sharpen": Defect("halos", "halos of oversharpening", "natural edges", "structure"),
    "contrast_change": Defect("wrong contrast", "unbalanced contrast", "balanced contrast", "light"),
}

PRISTINE = Defect("no defect", "no visible defect", "rich fine detail", "none")

ALSO_CALLED: dict[str, tuple[str, ...]] = {
    "gaussian_blur": ("blurry", "blurriness"),
    "lens_blur": ("out of focus", "out-of-focus", "defocused", "defocus blur"),
    "motion_blur": ("camera shake",),
    "color_diffusion": ("colour bleed",),
    "color_shift": ("chromatic aberration", "colour fringing", "colour fringe"),
    "color_quantization": ("posterisation", "posterization", "posterised", "posterized"),
    "color_saturation_1": ("faded colours", "washed-out colours", "desaturated", "desaturation"),
    "color_saturation_2": ("oversaturated", "over-saturated", "oversaturation", "over-saturation"),
    "jpeg2000": ("jpeg 2000",),
    "jpeg": ("blockiness", "jpeg artifacts", "jpeg artefacts", "compression artifacts", "compression artefacts"),
    "white_noise": ("noisy", "grainy", "graininess"),
    "white_noise_color_component": ("chroma noise", "chromatic noise"),
    "impulse_noise": ("salt-and-pepper noise", "salt and pepper noise", "impulse noise"),
    "denoise": ("oversmoothed", "over-smoothed", "oversmoothing", "over-smoothing"),
    "brighten": ("overexposed", "over-exposed", "over-exposure", "blown highlights", "too bright"),
    "darken": ("underexposed", "under-exposed", "under-exposure", "too dark"),
    "pixelate": ("pixelated", "pixellated", "pixellation"),
    "high_sharpen": ("oversharpened", "over-sharpened", "oversharpening", "over-sharpening"),
    "contrast_change": ("poor contrast", "excessive contrast", "low contrast"),
}
"""Other words for the same, which are read and not written; none that also describes what a photograph shows."""


def _spelt(name: str) -> str:
    """KADID-10k's own name in words."""
    return name.replace("_", " ").replace("color", "colour")


_NAMED = {
    word.lower(): name
    for name, defect in DEFECTS.items()
    for word in (defect.noun, defect.phrase, _spelt(name), *ALSO_CALLED.get(name, ()))
}
_LONGEST_FIRST = sorted(_NAMED, key=len, reverse=True)
_NAME = re.compile(rf"\b(?:{'|'.join(map(re.escape, _LONGEST_FIRST))})\b")


def distortion_named(words: str) -> str | None:
    """The distortion that ``words`` name first, by the longest name at that place; None if they name none.

    Names are KADID-10k's own, nouns and phrases of ``DEFECTS`` and words of ``ALSO_CALLED``.
    A denied one ("no blur or noise") names nothing.
    """
    text = words.lower().replace("color", "colour")
    found = (name for name in _NAME.finditer(text) if not is_denied(text, start=name.start(), end=name.end()))
    return next((_NAMED[name.group()] for name in found), None)


def likeness(words: str, distortion: str) -> float:
    """1 if ``words`` name this distortion, 1/2 if they name another one of its family, else 0.

    A distortion without words in ``DEFECTS`` is alike to none.
    """
    named = distortion_named(words)
    if named is None or distortion not in DEFECTS:
        return 0.0
    if named == distortion:
        return 1.0
    return 0.5 if DEFECTS[named].family == DEFECTS[distortion].family else 0.0

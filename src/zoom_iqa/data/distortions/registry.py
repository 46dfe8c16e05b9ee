"""KADID-10k's 25 distortions with the parameter of each of their 5 levels (Lin, Hosu, Saupe, QoMEX 2019).

The numbers are those of the authors' published generator; between two levels the parameter is interpolated linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoom_iqa.data.distortions import blur, color, compression, noise, spatial, tone

Apply = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """One type of distortion.

    ``number`` and ``name`` are KADID-10k's, ``phrase`` is how a person would say what is seen, ``levels`` the
    parameter at levels 1 to 5.
    """

    number: int
    name: str
    family: str
    phrase: str
    levels: tuple[float, float, float, float, float]
    apply: Apply

    def parameter(self, level: float) -> float:
        """The parameter at ``level`` in [1, 5]; ValueError outside."""
        if not 1 <= level <= 5:
            raise ValueError(f"level={level} of {self.name}: give a number from 1 to 5")
        return float(np.interp(level, (1, 2, 3, 4, 5), self.levels))


def distort(image: np.ndarray, *, kind: Distortion, level: float, rng: np.random.Generator) -> np.ndarray:
    """Distort an (H, W, 3) uint8 RGB ``image``; integer levels are KADID-10k's, the result is a new array."""
    return np.ascontiguousarray(kind.apply(np.ascontiguousarray(image), kind.parameter(level), rng))


def _kind(
    number: int, name: str, family: str, phrase: str, apply: Apply, levels: tuple[float, float, float, float, float]
) -> Distortion:
    return Distortion(number=number, name=name, family=family, phrase=phrase, levels=levels, apply=apply)


DISTORTIONS: tuple[Distortion, ...] = (
    _kind(1, "gaussian blur", "blur", "a soft overall blur", blur.gaussian_blur, (0.1, 0.5, 1, 2, 5)),
    _kind(2, "lens blur", "blur", "an out-of-focus blur", blur.lens_blur, (1, 2, 4, 6, 8)),
    _kind(3, "motion blur", "blur", "a motion blur along one direction", blur.motion_blur, (1, 2, 4, 6, 10)),
    _kind(4, "color diffusion", "color", "colors that run over their edges", color.color_diffusion, (1, 3, 6, 8, 12)),
    _kind(5, "color shift", "color", "color fringes along the edges", color.color_shift, (1, 3, 6, 8, 12)),
    _kind(
        6, "color quantization", "color", "dithering of too few colors", color.color_quantization, (64, 48, 32, 16, 8)
    ),
    _kind(7, "color saturation 1", "color", "faded, washed-out colors", color.saturation_hsv, (0.4, 0.2, 0.1, 0, -0.4)),
    _kind(8, "color saturation 2", "color", "garish, oversaturated colors", color.saturation_lab, (1, 2, 3, 6, 9)),
    _kind(
        9, "JPEG2000", "compression", "the smears of wavelet compression", compression.jpeg2000, (16, 32, 45, 120, 400)
    ),
    _kind(10, "JPEG", "compression", "the square blocks of JPEG compression", compression.jpeg, (43, 36, 24, 7, 4)),
    _kind(11, "white noise", "noise", "a fine grain of noise", noise.white_noise, (0.001, 0.002, 0.003, 0.005, 0.01)),
    _kind(
        12,
        "white noise in color component",
        "noise",
        "a colored grain of noise",
        noise.white_noise_ycbcr,
        (0.0001, 0.0005, 0.001, 0.002, 0.003),
    ),
    _kind(
        13,
        "impulse noise",
        "noise",
        "scattered bright and dark dots",
        noise.impulse_noise,
        (0.001, 0.005, 0.01, 0.02, 0.03),
    ),
    _kind(
        14,
        "multiplicative noise",
        "noise",
        "a speckle that grows with brightness",
        noise.multiplicative_noise,
        (0.001, 0.005, 0.01, 0.02, 0.05),
    ),
    _kind(15, "denoise", "noise", "detail smeared away by denoising", noise.denoise, (0.01, 0.03, 0.05, 0.1, 0.15)),
    _kind(16, "brighten", "tone", "an overexposed, too bright rendering", tone.brighten, (0.1, 0.2, 0.4, 0.7, 1.1)),
    _kind(17, "darken", "tone", "an underexposed, too dark rendering", tone.darken, (0.05, 0.1, 0.2, 0.4, 0.8)),
    _kind(18, "mean shift", "tone", "a shifted overall brightness", tone.mean_shift, (0.15, 0.08, 0, -0.08, -0.15)),
    _kind(19, "jitter", "spatial", "edges frayed by jitter", spatial.jitter, (0.05, 0.1, 0.2, 0.5, 1)),
    _kind(
        20,
        "non-eccentricity patch",
        "spatial",
        "small patches out of place",
        spatial.non_eccentricity_patch,
        (20, 40, 60, 80, 100),
    ),
    _kind(21, "pixelate", "spatial", "coarse square pixels", spatial.pixelate, (0.01, 0.05, 0.1, 0.2, 0.5)),
    _kind(22, "quantization", "tone", "banding where tones should be smooth", tone.quantization, (20, 16, 13, 10, 7)),
    _kind(
        23, "color block", "spatial", "solid colored squares over the content", spatial.color_block, (2, 4, 6, 8, 10)
    ),
    _kind(24, "high sharpen", "tone", "halos of excessive sharpening", tone.high_sharpen, (1, 2, 3, 6, 12)),
    _kind(25, "contrast change", "tone", "a wrong contrast", tone.contrast_change, (0.3, 0.15, 0, -0.4, -0.6)),
)
"""All 25, in the order of their numbers."""

IDENTITIES = frozenset({(1, 1), (3, 1), (8, 1), (18, 3)})
"""(number, level) whose KADID-10k parameter leaves the image as it is; their mean scores are those of the pristine."""

"""KADID-10k's 25 distortions with the parameter of each of their 5 levels (Lin, Hosu, Saupe, QoMEX 2019).

The numbers are those of the authors' published generator; between two levels the parameter is interpolated linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoom_iqa.data.distortions import blur, color, compression, noise, spatial, tone

Apply = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Distortion:
    """One type of distortion.

    ``number`` and ``name`` are KADID-10k's (the name in lower case with underscores); ``apply(image, parameter, rng)``
    distorts, and ``levels`` are its parameters at levels 1 to 5.
    """

    number: int
    name: str
    family: str
    apply: Apply
    levels: tuple[float, float, float, float, float]

    def parameter(self, level: float) -> float:
        """The parameter at ``level`` in [1, 5]; ValueError outside."""
        if not 1 <= level <= 5:
            raise ValueError(f"level={level} of {self.name}: give a number from 1 to 5")
        return float(np.interp(level, (1, 2, 3, 4, 5), self.levels))


def distort(image: np.ndarray, *, kind: Distortion, level: float, rng: np.random.Generator) -> np.ndarray:
    """Distort an (H, W, 3) uint8 RGB ``image``; integer levels are KADID-10k's, the result is a new array."""
    return np.ascontiguousarray(kind.apply(np.ascontiguousarray(image), kind.parameter(level), rng))


DISTORTIONS: tuple[Distortion, ...] = (
    Distortion(1, "gaussian_blur", "blur", blur.gaussian_blur, (0.1, 0.5, 1, 2, 5)),
    Distortion(2, "lens_blur", "blur", blur.lens_blur, (1, 2, 4, 6, 8)),
    Distortion(3, "motion_blur", "blur", blur.motion_blur, (1, 2, 4, 6, 10)),
    Distortion(4, "color_diffusion", "color", color.color_diffusion, (1, 3, 6, 8, 12)),
    Distortion(5, "color_shift", "color", color.color_shift, (1, 3, 6, 8, 12)),
    Distortion(6, "color_quantization", "color", color.color_quantization, (64, 48, 32, 16, 8)),
    Distortion(7, "color_saturation_1", "color", color.saturation_hsv, (0.4, 0.2, 0.1, 0, -0.4)),
    Distortion(8, "color_saturation_2", "color", color.saturation_lab, (1, 2, 3, 6, 9)),
    Distortion(9, "jpeg2000", "compression", compression.jpeg2000, (16, 32, 45, 120, 400)),
    Distortion(10, "jpeg", "compression", compression.jpeg, (43, 36, 24, 7, 4)),
    Distortion(11, "white_noise", "noise", noise.white_noise, (0.001, 0.002, 0.003, 0.005, 0.01)),
    Distortion(
        12, "white_noise_color_component", "noise", noise.white_noise_ycbcr, (0.0001, 0.0005, 0.001, 0.002, 0.003)
    ),
    Distortion(13, "impulse_noise", "noise", noise.impulse_noise, (0.001, 0.005, 0.01, 0.02, 0.03)),
    Distortion(14, "multiplicative_noise", "noise", noise.multiplicative_noise, (0.001, 0.005, 0.01, 0.02, 0.05)),
    Distortion(15, "denoise", "noise", noise.denoise, (0.01, 0.03, 0.05, 0.1, 0.15)),
    Distortion(16, "brighten", "tone", tone.brighten, (0.1, 0.2, 0.4, 0.7, 1.1)),
    Distortion(17, "darken", "tone", tone.darken, (0.05, 0.1, 0.2, 0.4, 0.8)),
    Distortion(18, "mean_shift", "tone", tone.mean_shift, (0.15, 0.08, 0, -0.08, -0.15)),
    Distortion(19, "jitter", "spatial", spatial.jitter, (0.05, 0.1, 0.2, 0.5, 1)),
    Distortion(20, "non_eccentricity_patch", "spatial", spatial.non_eccentricity_patch, (20, 40, 60, 80, 100)),
    Distortion(21, "pixelate", "spatial", spatial.pixelate, (0.01, 0.05, 0.1, 0.2, 0.5)),
    Distortion(22, "quantization", "tone", tone.quantization, (20, 16, 13, 10, 7)),
    Distortion(23, "color_block", "spatial", spatial.color_block, (2, 4, 6, 8, 10)),
    Distortion(24, "high_sharpen", "tone", tone.high_sharpen, (1, 2, 3, 6, 12)),
    Distortion(25, "contrast_change", "tone", tone.contrast_change, (0.3, 0.15, 0, -0.4, -0.6)),
)
"""All 25, in the order of their numbers."""

NAMED = {kind.name: kind for kind in DISTORTIONS}
"""The same by their names."""

IDENTITIES = frozenset({(1, 1), (3, 1), (8, 1), (18, 3)})
"""(number, level) whose KADID-10k parameter leaves the image as it is; their mean scores are those of the pristine."""

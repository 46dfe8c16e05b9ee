"""What goes wrong when a photograph is taken: light, focus and motion, noise, coding, several at once.

The scores are a stated rule and no human means: each fault costs what KADID-10k's raters took off for it alone (low
light and too much light have a rate of their own), and faults add as the root of their squares, so that the worst one
counts most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.types import Truth
from zoom_iqa.data.captured.exposure import Lamp, low_light, over_exposed
from zoom_iqa.data.distortions import DISTORTIONS, Distortion, distort
from zoom_iqa.data.embedded.kadid_means import PRISTINE_MOS, UNSEEN_MOS, global_mos, severity_at

LOST_A_STOP = {"darken": 0.65, "brighten": 1.0}
"""What a stop of too little and of too much light costs, in points; how the fault is named, as KADID-10k's nearest."""

_BLURS = (1, 2, 3, 3, 15)  # Gaussian, lens, motion (twice as often), and what removing noise smears
_NOISES = (11, 12, 14)
_TONES = (25, 7)  # contrast and faded colours
_JPEG = 10


@dataclass(frozen=True)
class Light:
    """``stops`` of too much light if above 0, of too little if below; ``gains`` and ``lamp`` are those of low light."""

    stops: float
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lamp: Lamp | None = None

    @property
    def name(self) -> str:
        """KADID-10k's name of what looks likest."""
        return "darken" if self.stops < 0 else "brighten"

    @property
    def lost(self) -> float:
        """Points it takes off the score."""
        return LOST_A_STOP[self.name] * abs(self.stops)

    def on(self, image: np.ndarray) -> np.ndarray:
        """``image`` (H, W, 3) in this light."""
        if self.stops < 0:
            return low_light(image, stops=-self.stops, gains=self.gains, lamp=self.lamp)
        return over_exposed(image, stops=self.stops)


@dataclass(frozen=True)
class Capture:
    """How a photograph is taken: its light (None for enough of it), then faults (kind, level) in their order."""

    light: Light | None = None
    faults: tuple[tuple[Distortion, float], ...] = ()

    @property
    def losses(self) -> dict[str, float]:
        """Points that each fault takes off by itself, by the fault's name."""
        of = {} if self.light is None else {self.light.name: self.light.lost}
        return of | {kind.name: max(0.0, PRISTINE_MOS - global_mos(kind, level)) for kind, level in self.faults}

    @property
    def mos(self) -> float:
        """The score on 1-5."""
        return max(1.0, PRISTINE_MOS - math.hypot(*self.losses.values()))

    @property
    def truth(self) -> Truth:
        """The fault that costs most stands for all; none where nothing is seen."""
        if self.mos >= UNSEEN_MOS:
            return Truth(distortion=None, level=1.0, region=None)
        losses = self.losses
        return Truth(distortion=max(losses, key=losses.__getitem__), level=min(5.0, severity_at(self.mos)), region=None)

    def of(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``picture`` (H, W, 3) uint8 RGB, so taken."""
        taken = picture if self.light is None else self.light.on(picture)
        for kind, level in self.faults:
            taken = distort(taken, kind=kind, level=level, rng=rng)
        return taken


def draw_capture(rng: np.random.Generator) -> Capture:
    """A capture as amateurs' are: in the dark photographs are blurred and noisy more often than in daylight.

    The shares are chosen, not measured.
    """
    what = rng.random()
    light = _low(rng) if what < 0.3 else Light(rng.uniform(0.3, 2.0)) if what < 0.4 else None
    dark = light is not None and light.stops < 0
    faults = []
    if 0.4 <= what < 0.5:
        faults.append(_fault(_TONES, 5.0, rng))
    if rng.random() < (0.75 if dark else 0.55):
        faults.append(_fault(_BLURS, 4.0, rng))
    if rng.random() < (0.5 if dark else 0.1):
        faults.append(_fault(_NOISES, 1.8, rng))  # more of it is gone once a photograph is reduced to a screen
    if rng.random() < 0.3:
        faults.append(_fault((_JPEG,), 3.5, rng))
    return Capture(light, tuple(faults))


def _low(rng: np.random.Generator) -> Light:
    """Little light that is warm, at times with a lamp in the picture."""
    lamp = None
    if rng.random() < 0.6:
        lamp = Lamp(x=rng.random(), y=rng.random(), reach=rng.uniform(0.15, 0.5), gain=rng.uniform(1, 6))
    return Light(-rng.uniform(0.5, 4.0), (1.0, rng.uniform(0.8, 1.0), rng.uniform(0.5, 1.0)), lamp)


def _fault(numbers: tuple[int, ...], most: float, rng: np.random.Generator) -> tuple[Distortion, float]:
    return DISTORTIONS[int(rng.choice(numbers)) - 1], round(float(rng.uniform(1.0, most)), 2)

"""Ratings as a vision-language model might write them, made from the true ones by a rule that anyone can repeat.

In the paper SFT learns ratings that a generator wrote, and GRPO then learns from people's scores. Where trajectories
hold the true scores already, GRPO has no judgement left to teach; with these it has. The rule is ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from statistics import NormalDist

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative, require_share
from zoom_iqa.base.types import Example, Truth
from zoom_iqa.data.embedded.kadid_means import severity_at

PRISTINE = "pristine"


@dataclass(frozen=True, kw_only=True)
class SimulatedGenerator:
    """Ratings drawn to the middle, off by distortion type and by content, and noisy.

    rating = middle + slope * (mos - middle) + type_bias * z(type) + content_bias * z(photograph) + noise * z(image),
    within 1-5. Each z is a standard normal value that follows from ``seed`` and a name alone, so that one generator is
    off about a type, or a photograph, always in the same way and by the same amount.

    Raises:
        ConfigError: a number is out of range.
    """

    middle: float
    slope: float
    type_bias: float
    content_bias: float
    noise: float
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.middle <= 5:
            raise ConfigError(f"ratings.middle={self.middle} must be from 1 to 5")
        require_share("ratings.slope", self.slope)
        for name in ("type_bias", "content_bias", "noise"):
            require_not_negative(f"ratings.{name}", getattr(self, name))

    def rating(self, example: Example, truth: Truth) -> float:
        """The rating that is written in place of the example's mean opinion score."""
        shifts = (
            self.type_bias * self._z("type", truth.distortion or PRISTINE),
            self.content_bias * self._z("content", example.reference_id or example.id),
            self.noise * self._z("image", example.name),
        )
        return min(5.0, max(1.0, self.middle + self.slope * (example.mos - self.middle) + sum(shifts)))

    def told(self, example: Example, truth: Truth) -> tuple[Truth, float]:
        """The defect and the rating as this generator tells them.

        A defect keeps its name and its place; its level moves with the rating, by the slope of ``severity_at``, so that
        words say no more than the rating does.
        """
        rating = self.rating(example, truth)
        if truth.distortion is None:
            return truth, rating
        moved = truth.level + severity_at(rating) - severity_at(example.mos)
        return replace(truth, level=min(5.0, max(1.0, moved))), rating

    def _z(self, kind: str, name: str) -> float:
        digest = hashlib.sha256(f"{self.seed}:{kind}:{name}".encode()).digest()
        return NormalDist().inv_cdf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)

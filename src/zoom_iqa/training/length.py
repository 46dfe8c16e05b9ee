"""The length of a stage: in steps, in passes over its data, or in images, of which the processes each see a share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError

ROUNDING = 1e-12
"""Of a product of decimals: 1.1 epochs of 100 images are not 110.00000000000001."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """One of ``steps``, ``epochs`` and ``images``; ``otherwise_images`` counts where none is given.

    Epochs and images are of all processes together: with more of them a stage has fewer steps, not more images.

    Raises:
        ConfigError: two are given, or a number is too small.
    """

    steps: int | None
    epochs: float | None
    images: int | None
    otherwise_images: int

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("steps", "epochs", "images") if getattr(self, name) is not None}
        if len(given) > 1:
            both = " and ".join(f"{name}={value}" for name, value in given.items())
            raise ConfigError(f"{both}: a stage's length is one of steps, epochs and images; set the others to null")
        for name, value in {**given, "otherwise_images": self.otherwise_images}.items():
            if not _is_number(value) or not 0 < value < math.inf or (name != "epochs" and value != int(value)):
                needed = "a number above 0" if name == "epochs" else "a whole number of at least 1"
                raise ConfigError(f"{name}={value} must be {needed}")

    def in_steps(self, *, samples: int, per_step: int) -> int:
        """Steps of ``per_step`` images of all processes over a data set of ``samples``; the last one is whole."""
        if self.steps is not None:
            return int(self.steps)  # 1e3 is read as a float
        images = self.images if self.epochs is None else self.epochs * samples
        exact = (self.otherwise_images if images is None else images) / per_step
        return max(1, math.ceil(exact * (1 - ROUNDING)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

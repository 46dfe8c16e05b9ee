"""Pictures to try the page with: photographs of the package, as they are and distorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from zoom_iqa.data.distortions import NAMED, distort
from zoom_iqa.data.embedded.photographs import load_photograph
from zoom_iqa.data.embedded.region import choose_region, distort_region

EXTENT = (0.4, 0.4)
"""Width and height of a distorted region, as fractions."""


@dataclass(frozen=True)
class Example:
    """A photograph with a distortion of KADID-10k's at a level of 1-5, in one place or everywhere; or with none."""

    photograph: str
    kind: str | None = None
    level: int = 1
    in_one_place: bool = False

    @property
    def caption(self) -> str:
        """The words under its picture."""
        if self.kind is None:
            return f"{self._name}: as it is"
        place = " in one place" if self.in_one_place else ""
        return f"{self._name}: {self.kind.replace('_', ' ')} {self.level} of 5{place}"

    @property
    def _name(self) -> str:
        return self.photograph.replace("_", " ")

    @property
    def image(self) -> Image.Image:
        """The picture, the same every time."""
        pixels, rng = load_photograph(self.photograph), np.random.default_rng(0)
        if self.kind is None:
            return Image.fromarray(pixels)
        kind = NAMED[self.kind]
        if not self.in_one_place:
            return Image.fromarray(distort(pixels, kind=kind, level=self.level, rng=rng))
        region = choose_region(pixels, EXTENT, rng)
        return Image.fromarray(distort_region(pixels, kind=kind, level=self.level, region=region, rng=rng))


EXAMPLES = (
    Example("coffee"),
    Example("dragonfly", "lens_blur", 5, in_one_place=True),
    Example("raccoon", "motion_blur", 4),
    Example("farm_cow", "pixelate", 5, in_one_place=True),
    Example("seeding", "white_noise", 5),
    Example("wine", "jpeg", 5),
    Example("animal_narwhal", "color_diffusion", 4),
    Example("astronaut"),
)
"""Of photographs that the shipped policy was not trained on."""

PAIRS = (
    (Example("coffee"), Example("coffee", "jpeg", 5)),
    (Example("raccoon", "gaussian_blur", 3), Example("raccoon", "white_noise", 3)),
    (Example("farm_cow", "pixelate", 5, in_one_place=True), Example("farm_cow", "pixelate", 5)),
)


def written(examples: Sequence[Example], folder: Path) -> list[Path]:
    """The pictures as files in ``folder``, in the same order."""
    paths = [folder / f"{example.caption.replace(': ', '-').replace(' ', '-')}.png" for example in examples]
    for example, path in zip(examples, paths, strict=True):
        example.image.save(path)
    return paths

"""The embedded set as a benchmark: as many images of each split as wanted, made the same way for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_count_or_none
from zoom_iqa.data.benchmarks import Source
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import PIXELS, SPLITS


@dataclass(frozen=True, kw_only=True)
class EmbeddedBenchmark:
    """Photographs of the package, distorted as KADID-10k does, at its five levels.

    ``sizes`` are the images of each split; see :class:`~zoom_iqa.data.datasets.ImageBenchmark`.

    Raises:
        ConfigError: no such split.
    """

    name: str
    sizes: Mapping[str, int]
    seed: int
    local_fraction: float
    pristine_fraction: float
    evaluation_split: str
    source: Source

    def __post_init__(self) -> None:
        for split in (*self.sizes, self.evaluation_split):
            _known_split(split)

    def images(self, split: str, *, max_pixels: int | None, size: int | None) -> EmbeddedSet:
        """The images of a split, ``size`` of them or as many as ``sizes`` says.

        Raises:
            ConfigError: no such split, or a bound that the photographs exceed.
        """
        _known_split(split)
        require_count_or_none("size", size, none_means="takes as many as the benchmark has")
        require_count_or_none("max_pixels", max_pixels, none_means="reduces no image")
        if max_pixels is not None and max_pixels < PIXELS:
            raise ConfigError(f"max_pixels={max_pixels}: the {self.name} set is made with {PIXELS:,}; use that or more")
        return EmbeddedSet(
            split=split,
            size=self.sizes[split] if size is None else size,
            seed=self.seed,
            local_fraction=self.local_fraction,
            pristine_fraction=self.pristine_fraction,
            procedural_fraction=0.0,
            continuous_levels=False,
            augmented=False,
        )


def _known_split(split: str) -> None:
    if split not in SPLITS:
        raise ConfigError(f"split={split!r}: the embedded set has {', '.join(SPLITS)}")

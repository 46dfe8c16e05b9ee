"""The embedded set as a benchmark: as many images of each split as wanted, made the same way for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_count_or_none
from zoom_iqa.data.benchmarks import Source
from zoom_iqa.data.benchmarks.check import Finding, Report, inspect
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import FOLDER, PIXELS, SPLITS, load_photograph, photographs


@dataclass(frozen=True, kw_only=True)
class EmbeddedBenchmark:
    """Photographs of the package, distorted as KADID-10k does, at its five levels.

    ``sizes`` are the images of each split, and ``local_area`` the shares of the image that regions take, as in
    :class:`~zoom_iqa.data.embedded.images.EmbeddedSet`; see :class:`~zoom_iqa.data.datasets.ImageBenchmark`.

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
    local_area: Sequence[float] | None = None

    def __post_init__(self) -> None:
        for split in (*self.sizes, self.evaluation_split):
            _known_split(split)

    @property
    def folder(self) -> Path:
        """The folder of the photographs."""
        return FOLDER

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> EmbeddedSet:
        """The images of a split, ``size`` of them or as many as ``sizes`` says; all are made upright.

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
            references=None,
            local_area=self.local_area,
        )


@inspect.register
def _(benchmark: EmbeddedBenchmark, on_image: Callable[[], None]) -> Report:
    """Decode every photograph, and make every label."""
    damaged: dict[str, str] = {}
    sizes = set()
    for name in photographs():
        try:
            height, width = load_photograph(name).shape[:2]
            sizes.add((width, height))
        except OSError as error:
            damaged[name] = f"{name}.jpg: {error}"
        on_image()
    items = [
        item
        for split in benchmark.sizes
        for item in benchmark.images(split, max_pixels=None, upright=True, size=None).items()
    ]
    mos = [item.mos for item in items]
    return Report(
        counts=dict(benchmark.sizes),
        scale_range=(1.0, 5.0),
        direction="higher_is_better",
        native_range=(min(mos), max(mos)),
        mos_range=(min(mos), max(mos)),
        with_std=sum(item.mos_std is not None for item in items),
        readable=sum(item.reference_id not in damaged for item in items),
        sizes=(min(sizes), max(sizes)) if sizes else None,
        findings=(Finding("photographs damaged or missing; install the package again", tuple(damaged.values()), True),)
        if damaged
        else (),
    )


def _known_split(split: str) -> None:
    if split not in SPLITS:
        raise ConfigError(f"split={split!r}: the embedded set has {', '.join(SPLITS)}")

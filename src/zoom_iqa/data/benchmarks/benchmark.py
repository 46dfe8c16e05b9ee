"""A benchmark: where it lies, how it is read, what its scores mean and which images a split holds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.indicators import Indicator
from zoom_iqa.base.ranges import require_count_or_none
from zoom_iqa.base.types import Example, rated_example
from zoom_iqa.data.benchmarks.indicators import placed
from zoom_iqa.data.benchmarks.label import Label, Reader
from zoom_iqa.data.benchmarks.scale import LinearScale
from zoom_iqa.data.benchmarks.splits import SPLITS, Split
from zoom_iqa.data.datasets import BenchmarkImages, ImageDataset
from zoom_iqa.data.subset import FixedSubset


@dataclass(frozen=True, kw_only=True)
class Source:
    """The source of a benchmark. ``count`` is its published number of images, None where nobody published one."""

    title: str
    homepage: str
    citation: str
    licence: str
    download: Sequence[str]
    count: int | None


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A labelled image set on disk.

    ``root`` is its folder. ``evaluation_split`` is what published tables report on: train, val, test, or all.
    """

    name: str
    root: str
    reader: Reader
    scale: LinearScale
    split: Split
    evaluation_split: str
    source: Source

    def __post_init__(self) -> None:
        _known_split(self.evaluation_split, "evaluation_split")

    @property
    def folder(self) -> Path:
        """The root as an expanded path."""
        return Path(self.root).expanduser()

    def read(self) -> list[Label]:
        """The published rows, before any check of their values; scores that differ by rounding alone are equal.

        Raises:
            DataError: the label file is absent or unreadable.
        """
        path = self.folder / self.reader.labels
        if not os.path.exists(path):
            raise DataError(
                f"{self.name}: no labels at {path}; give the set's folder with benchmark.root=FOLDER, or "
                f"get it from {self.source.homepage}"
            )
        labels = self.reader.read(self.folder)
        scores = snapped([label.score for label in labels]).tolist()
        return [replace(label, score=score) for label, score in zip(labels, scores, strict=True)]

    def labelled(self) -> tuple[Example, ...]:
        """Every image by its labels alone; no image file is looked for.

        Raises:
            DataError: rows are unusable; all of them are listed.
        """
        labels = self.read()
        odd = [*outside_range(labels, self.scale), *duplicate_ids(labels), *duplicate_files(labels)]
        if odd:
            outside = [label.score for label in labels if not self.scale.contains(label.score)]
            remedy = self.scale.remedy([label.score for label in labels]) if outside else "correct or remove them"
            raise DataError(f"{self.name}: {len(odd)} rows are unusable; {remedy}", odd)
        rows = zip(labels, self.split.assign(labels), placed(labels), strict=True)
        return tuple(self.item(label, split, indicators) for label, split, indicators in rows)

    def items(self, split: str) -> tuple[Example, ...]:
        """The images of a split (train, val, test, or all), each with a file that exists.

        Raises:
            ConfigError: no such split.
            DataError: rows are unusable, files are missing (all are listed), or the split is empty.
        """
        _known_split(split, "split")
        items = tuple(item for item in self.labelled() if split in ("all", item.split))
        if not items:
            raise DataError(
                f"{self.name}: split {split!r} is empty; draw splits from a seed (benchmark/split=seeded), or "
                "evaluate another one (split=all is the whole set)"
            )
        missing = missing_files(items)
        if missing:
            raise DataError(
                f"{self.name}: {len(missing)} of {len(items)} images of split {split!r} are missing under "
                f"{self.folder}, which should hold: {'; '.join(self.source.download)}",
                missing,
            )
        return items

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> ImageDataset:
        """The images of a split; see :meth:`~zoom_iqa.data.datasets.ImageBenchmark.images`."""
        require_count_or_none("size", size, none_means="takes every image")
        whole = BenchmarkImages(items=self.items(split), max_pixels=max_pixels, upright=upright)
        return FixedSubset(dataset=whole, limit=size)

    def item(self, label: Label, split: str | None, indicators: tuple[Indicator, ...] = ()) -> Example:
        """A label as an item of this benchmark: path below the root, scores on 1-5."""
        example = rated_example(
            id=label.id,
            dataset=self.name,
            path=str(self.folder / label.image),
            mos=self.scale.mos(label.score),
            mos_std=None if label.std is None else self.scale.std(label.std),
            native_mos=label.score,
            mos_clipped=self.scale.clips(label.score),
            reference_id=label.reference,
            split=split,
        )
        return replace(example, indicators=indicators)


def outside_range(labels: Sequence[Label], scale: LinearScale) -> list[str]:
    """A line for each score the publisher's scale does not allow, and for each negative standard deviation."""
    low, high = scale.native_range
    scores = [
        f"{label.where}: {label.id} has score {label.score:g}, outside {low:g} to {high:g}"
        for label in labels
        if not scale.contains(label.score)
    ]
    stds = [
        f"{label.where}: {label.id} has standard deviation {label.std:g}, below 0"
        for label in labels
        if label.std is not None and label.std < 0
    ]
    return scores + stds


def duplicate_ids(labels: Sequence[Label]) -> list[str]:
    """A line for each row whose id another row has too."""
    uses = Counter(label.id for label in labels)
    return [f"{label.where}: id {label.id} is used {uses[label.id]} times" for label in labels if uses[label.id] > 1]


def duplicate_files(labels: Sequence[Label]) -> list[str]:
    """A line for each row under an id of its own whose image another row has too: splits would divide the image."""
    ids: dict[str, set[str]] = {}
    for label in labels:
        ids.setdefault(label.image, set()).add(label.id)
    return [
        f"{label.where}: image {label.image} is of {len(ids[label.image])} ids, such as {label.id}; give each image "
        "one row, with the mean of its scores"
        for label in labels
        if len(ids[label.image]) > 1
    ]


def missing_files(items: Sequence[Example]) -> list[str]:
    """A line for each item's image file that does not exist."""
    return [
        f"{item.dataset}:{item.id}: {ref.path}"
        for item in items
        for ref in item.images
        if ref.path is None or not os.path.isfile(ref.path)  # unlike Path's, false for impossible names
    ]


def _known_split(split: str, field: str) -> None:
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"{field} is {split!r}; use one of {', '.join(SPLITS)}, all")

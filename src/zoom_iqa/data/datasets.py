"""Benchmark images as a torch data set: pixels are read when asked for, in whichever worker asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch.utils.data import Dataset

from zoom_iqa.base.errors import DataError, ImageError
from zoom_iqa.base.ranges import require_count_or_none
from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.images import load_image


class ImageDataset(Protocol):
    """A map-style data set of labelled images whose labels are known without their pixels."""

    def items(self) -> Sequence[Example]:
        """The labels, in index order."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class MadeImages(ImageDataset, Protocol):
    """Images whose defects are known, made of named photographs."""

    @property
    def picture_names(self) -> Sequence[str]:
        """The names of the photographs."""
        ...


class ImageBenchmark(Protocol):
    """Labelled images in splits, of which ``evaluation_split`` is what tables report on."""

    name: str
    evaluation_split: str

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> ImageDataset:
        """The images of a split (train, val, test, or all), each with at most ``max_pixels`` pixels; None reduces none.

        ``upright``: turned as their EXIF data say. ``size`` is how many images, always the same; None takes all.

        Raises:
            ConfigError: no such split, or a number is not a whole one of at least 1.
            DataError: labels are unusable or images missing; every offending row is listed.
        """
        ...


class BenchmarkImages(Dataset[Sample]):
    """Labelled image files, one or several an item, each with at most ``max_pixels`` pixels, or with all (None).

    See ``load_image``. Nothing is replaced or skipped: a file that cannot be shown is an error that names its item.
    """

    def __init__(self, *, items: Sequence[Example], max_pixels: int | None, upright: bool) -> None:
        """Keep the labels; no file is opened.

        Raises:
            ConfigError: ``max_pixels`` is not a whole number of at least 1.
            DataError: there are no items, or some have no file.
        """
        require_count_or_none("max_pixels", max_pixels, none_means="reduces no image")
        if not items:
            raise DataError("no images: the list of items is empty")
        pathless = [item.name for item in items if any(ref.path is None for ref in item.images)]
        if pathless:
            raise DataError(f"{len(pathless)} items have no image file", pathless)
        self._items = tuple(items)
        self._max_pixels, self._upright = max_pixels, upright

    def items(self) -> tuple[Example, ...]:
        """The labels, in the order of the indices."""
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        item = self._items[index]
        paths = [ref.path for ref in item.images if ref.path is not None]
        try:
            images = [load_image(path, max_pixels=self._max_pixels, upright=self._upright) for path in paths]
            return Sample.of(item, *images)
        except ImageError as error:
            raise ImageError(f"{item.dataset}:{item.id}: {error}") from error


def benchmark_images(
    *, benchmark: ImageBenchmark, split: str, max_pixels: int | None, upright: bool, size: int | None
) -> ImageDataset:
    """The images of a benchmark's split, for configs; see :meth:`ImageBenchmark.images`."""
    return benchmark.images(split, max_pixels=max_pixels, upright=upright, size=size)

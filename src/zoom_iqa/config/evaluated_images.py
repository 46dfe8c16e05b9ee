"""The images of a benchmark that a config means: one rule for programs that judge them and pages that show them."""

from __future__ import annotations

from omegaconf import DictConfig

from zoom_iqa.data.datasets import ImageBenchmark, ImageDataset
from zoom_iqa.data.references import with_references
from zoom_iqa.data.subset import FixedSubset


def split_images(benchmark: ImageBenchmark, split: str | None, cfg: DictConfig) -> ImageDataset:
    """All images of ``split``, None for the benchmark's own evaluation split, in the size that ``cfg`` says.

    Raises:
        ConfigError: there is no such split.
        DataError: labels are unusable or images missing.
    """
    split = benchmark.evaluation_split if split is None else split
    return benchmark.images(split, max_pixels=cfg.max_pixels, upright=cfg.upright, size=None)


def evaluated_images(benchmark: ImageBenchmark, cfg: DictConfig, *, references: str | None = None) -> ImageDataset:
    """The images of a benchmark to evaluate: of ``cfg.split`` or its own evaluation split, ``cfg.limit`` images.

    Raises:
        ConfigError: there is no such split, or a number is not a whole one of at least 1.
        DataError: labels are unusable or images missing.
    """
    images = split_images(benchmark, cfg.split, cfg)
    return FixedSubset(dataset=with_references(images, references, key="references"), limit=cfg.limit)

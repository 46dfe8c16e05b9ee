"""Readers of the public benchmarks in the layout their publishers ship, and of plain manifests."""

from zoom_iqa.data.benchmarks.benchmark import Benchmark, Source
from zoom_iqa.data.benchmarks.label import Label, Reader
from zoom_iqa.data.benchmarks.scale import LinearScale
from zoom_iqa.data.benchmarks.splits import (
    GivenOrSeededSplit,
    HeldOutValidation,
    ListedSplit,
    PublishedSplit,
    SceneSplit,
    SeededSplit,
    Split,
)

__all__ = [
    "Benchmark",
    "GivenOrSeededSplit",
    "HeldOutValidation",
    "Label",
    "LinearScale",
    "ListedSplit",
    "PublishedSplit",
    "Reader",
    "SceneSplit",
    "SeededSplit",
    "Source",
    "Split",
]

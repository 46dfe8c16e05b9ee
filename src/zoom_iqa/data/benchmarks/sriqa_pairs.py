"""SRIQA-Bench as pairs: every two images of a photograph, which of them people prefer, in one order or in both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.ranges import require_count_or_none, require_not_negative
from zoom_iqa.base.targets import CHOICES, MIRRORED, Choice
from zoom_iqa.base.types import Example, ImageRef
from zoom_iqa.data.benchmarks.benchmark import Benchmark, Source, missing_files
from zoom_iqa.data.benchmarks.check import Finding, Report, inspect
from zoom_iqa.data.benchmarks.sriqa import ORIGINAL, SRIQAScores, Votes, kind_of, method_of, read_votes
from zoom_iqa.data.datasets import BenchmarkImages, ImageDataset
from zoom_iqa.data.pairs import Orders, Pair, check_orders, pairs_within
from zoom_iqa.data.subset import FixedSubset

Truth = Literal["mos", "votes"]
Reference = Literal["original", "low_resolution"]

REFERENCES: dict[Reference, str] = {"original": "images/Original", "low_resolution": "LRImages"}
GROUPS = {"regression": "MOS_Reg", "generation": "MOS_Gen"}
"""Folders with the scores of one group of methods, which the authors evaluate pairs of."""


@dataclass(frozen=True, kw_only=True)
class SRIQAPairs:
    """The pairs of ``scores``, the benchmark of the single images.

    ``truth`` "mos" takes the order of the scores, as A-FINE's authors evaluate: similar are scores that differ by no
    more than ``band`` on 1-5, and at 0 only equal ones. "votes" takes what most people said of the pair, similar where
    no choice has most. ``reference`` is shown before the two (``task.reference=true``).

    Raises:
        ConfigError: a value is none of those there are.
    """

    name: str
    root: str
    scores: Benchmark
    truth: Truth
    band: float
    orders: Orders
    reference: Reference | None
    seed: int
    evaluation_split: str
    source: Source

    def __post_init__(self) -> None:
        check_orders(self.orders)
        require_not_negative("benchmark.band", self.band)
        if self.truth not in get_args(Truth):
            raise ConfigError(f"benchmark.truth={self.truth}: use mos, or votes")
        if self.reference not in (None, *REFERENCES):
            raise ConfigError(f"benchmark.reference={self.reference}: use {', '.join(REFERENCES)}, or null")

    @property
    def folder(self) -> Path:
        """The root as an expanded path."""
        return Path(self.root).expanduser()

    def pairs(self, images: Sequence[Example]) -> list[Pair]:
        """All pairs of the images of a photograph, with people's preference.

        Raises:
            DataError: votes are asked for, and some cannot be used or a pair has none.
        """
        pairs = [replace(pair, kind=_kind(pair)) for pair in pairs_within(images, band=self.band)]
        if self.truth == "mos":
            return pairs
        known = {image.id: str(image.reference_id) for image in images}
        votes = read_votes(self.folder / "labels", known)
        lacking = [f"{pair.first.id}, {pair.second.id}" for pair in pairs if _names(pair) not in votes]
        if lacking:
            raise DataError(f"{self.name}: {len(lacking)} of {len(pairs)} pairs have no label; use truth=mos", lacking)
        return [replace(pair, choice=_most_said(pair, votes)) for pair in pairs]

    def examples(self, split: str) -> list[Example]:
        """The questions of a split: ``all``, unless a split of the single images is given.

        Raises:
            ConfigError: no such split.
            DataError: labels are unusable or images missing; every offending row is listed.
        """
        examples = [
            pair.example(dataset=self.name, swapped=swapped, reference=self._reference(pair))
            for pair in self.pairs(self.scores.items(split))
            for swapped in ((False, True) if self.orders == "both" else (self._swapped(pair),))
        ]
        missing = missing_files(examples)
        if missing:
            raise DataError(f"{self.name}: {len(missing)} images are missing under {self.folder}", missing)
        return examples

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> ImageDataset:
        """The pairs of a split, ``size`` of them; see :meth:`~zoom_iqa.data.datasets.ImageBenchmark.images`."""
        require_count_or_none("size", size, none_means="takes every pair")
        whole = BenchmarkImages(items=self.examples(split), max_pixels=max_pixels, upright=upright)
        questions = 2 if self.orders == "both" else 1
        return FixedSubset(dataset=whole, limit=None if size is None else questions * size)

    def _reference(self, pair: Pair) -> ImageRef | None:
        if self.reference is None:
            return None
        file = f"{pair.first.reference_id}_{ORIGINAL}.png"
        return ImageRef(path=str(self.folder / REFERENCES[self.reference] / file))

    def _swapped(self, pair: Pair) -> bool:
        return hashlib.sha256(f"{self.seed}/{pair.first.id}/{pair.second.id}".encode()).digest()[0] % 2 == 1


@inspect.register
def _(benchmark: SRIQAPairs, on_image: Callable[[], None]) -> Report:
    """Look at the single images, then at the pairs: their kinds, and whether other files agree with their labels."""
    report = inspect(benchmark.scores, on_image)
    try:
        pairs = benchmark.pairs(benchmark.scores.labelled())
    except DataError as error:
        return replace(report, findings=(*report.findings, Finding("labels of pairs unusable", (str(error),), True)))
    kinds = Counter(pair.kind or "across" for pair in pairs)
    choices = Counter(pair.choice for pair in pairs)
    similar = f"similar: {choices['Similar']:,}"
    found = (
        Finding("kinds of pairs", (*(f"{kind}: {count:,}" for kind, count in sorted(kinds.items())), similar), False),
        Finding(
            "pairs that MOS_Reg or MOS_Gen order otherwise or lack", tuple(_contradictions(benchmark, pairs)), False
        ),
    )
    return replace(report, findings=(*report.findings, *(finding for finding in found if finding.rows)))


def _kind(pair: Pair) -> str | None:
    return kind_of(method_of(pair.first.id)[1], method_of(pair.second.id)[1])


def _names(pair: Pair) -> frozenset[str]:
    return frozenset((pair.first.id, pair.second.id))


def _most_said(pair: Pair, votes: Votes) -> Choice:
    """The choice with most votes, similar where two have as many."""
    said = Counter(choice if first == pair.first.id else MIRRORED[choice] for first, _, choice in votes[_names(pair)])
    most = max(said.values())
    leading = [choice for choice in CHOICES if said[choice] == most]
    return leading[0] if len(leading) == 1 else "Similar"


def _contradictions(benchmark: SRIQAPairs, pairs: Sequence[Pair]) -> Iterator[str]:
    """Pairs of a group whose own scores are absent or have another order; nothing where there is no such folder."""
    for kind, folder in GROUPS.items():
        if not (benchmark.folder / folder).is_dir():
            continue
        reader = SRIQAScores(labels=folder, images="images")
        scores = {label.id: label.score for label in reader.read(benchmark.folder)}
        for pair in pairs:
            first, second = scores.get(pair.first.id), scores.get(pair.second.id)
            if pair.kind != kind:
                continue
            if first is None or second is None:
                yield f"{folder} lacks {pair.first.id} or {pair.second.id}"
            elif (first - second) * (pair.first.mos - pair.second.mos) < 0:
                yield f"{folder} puts {pair.first.id} at {first:g}, {pair.second.id} at {second:g}"

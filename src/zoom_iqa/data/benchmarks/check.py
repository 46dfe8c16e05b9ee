"""Looks at a benchmark as a whole: label values, files, duplicates by id and by pixels, splits that share a content."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from zoom_iqa.base.errors import ROW_LIMIT, DataError, ImageError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.types import Example
from zoom_iqa.data.benchmarks.benchmark import Benchmark, duplicate_ids, missing_files, outside_range
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.splits import SPLITS
from zoom_iqa.data.images import load_image
from zoom_iqa.tasks.tools.crop import MAX_ASPECT, viewable

ROWS_SHOWN = 10
"""Of a finding, in a report."""


@dataclass(frozen=True)
class Finding:
    """Something to know; ``serious`` means results on this copy would be wrong. ``rows`` has a line per case."""

    title: str
    rows: tuple[str, ...]
    serious: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(printable(row, limit=ROW_LIMIT) for row in self.rows))


def finding_text(finding: Finding) -> str:
    """Lines as a report shows them: what was found, and the first of its rows."""
    lines = [f"  {'PROBLEM' if finding.serious else 'note':<10} {len(finding.rows):,} {finding.title}"]
    lines += [f"             {row}" for row in finding.rows[:ROWS_SHOWN]]
    if len(finding.rows) > ROWS_SHOWN:
        lines.append(f"             ... and {len(finding.rows) - ROWS_SHOWN:,} more")
    return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """Findings of a check. ``counts`` is images per split (``-`` for those in none); ranges are (lowest, highest).

    ``scale_range`` and ``direction`` are of the scale as declared, ``native_range`` of the scores found on it.
    """

    counts: dict[str, int]
    scale_range: tuple[float, float]
    direction: str
    native_range: tuple[float, float]
    mos_range: tuple[float, float]
    with_std: int
    readable: int
    sizes: tuple[tuple[int, int], tuple[int, int]] | None
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing serious was found."""
        return not any(finding.serious for finding in self.findings)


@dataclass(frozen=True)
class Pixels:
    """Facts from decoding one file: size and a hash of what a viewer would show."""

    size: tuple[int, int]
    digest: bytes


@singledispatch
def inspect(benchmark: Any, on_image: Callable[[], None]) -> Report:
    """The findings about a benchmark; each kind of benchmark registers how it is looked at."""
    raise TypeError(f"{type(benchmark).__name__} has not said how it is inspected")


@inspect.register
def _(benchmark: Benchmark, on_image: Callable[[], None]) -> Report:
    """Check labels, then decode every image; ``on_image`` is called once per decoded file, from several threads.

    Raises:
        DataError: there are no labels, or rows that cannot be read at all (all of them are listed).
    """
    labels = benchmark.read()
    if not labels:
        raise DataError(f"{benchmark.name}: {benchmark.folder / benchmark.reader.labels} holds no rows")
    findings = [
        Finding("scores or deviations outside the declared scale", tuple(outside_range(labels, benchmark.scale)), True),
        Finding("scores that the common scale of 1 to 5 clips", tuple(_clipped(benchmark, labels)), False),
        Finding("rows whose id other rows have too", tuple(duplicate_ids(labels)), True),
        Finding("not the published number of images", tuple(_unexpected_count(benchmark, labels)), False),
    ]
    try:
        splits = benchmark.split.assign(labels)
    except DataError as error:
        findings.append(Finding(f"rows without a known split ({', '.join(SPLITS)})", error.rows, True))
        splits = [None] * len(labels)
    findings.append(Finding("references in more than one split", tuple(divided_contents(labels, splits)), True))
    items = [benchmark.item(label, split) for label, split in zip(labels, splits, strict=True)]
    pixels, file_findings = _inspect_files(items, on_image)
    scores = [label.score for label in labels]
    low, high = benchmark.scale.native_range
    mos = [item.mos for item in items]
    sizes = sorted((found.size for found in pixels.values()), key=lambda size: (size[0] * size[1], size))
    return Report(
        counts=dict(Counter(split or "-" for split in splits)),
        scale_range=(low, high),
        direction=benchmark.scale.direction,
        native_range=(min(scores), max(scores)),
        mos_range=(min(mos), max(mos)),
        with_std=sum(label.std is not None for label in labels),
        readable=sum(item.path in pixels for item in items),
        sizes=(sizes[0], sizes[-1]) if sizes else None,
        findings=tuple(finding for finding in [*findings, *file_findings] if finding.rows),
    )


def divided_contents(labels: Sequence[Label], splits: Sequence[str | None]) -> list[str]:
    """A line for each reference (or prompt subject) whose images are in more than one split."""
    splits_of: dict[str, set[str]] = defaultdict(set)
    for label, split in zip(labels, splits, strict=True):
        if split is not None:  # an image of no split tells nothing away
            splits_of[label.content].add(split)
    return [f"{content}: {', '.join(sorted(found))}" for content, found in splits_of.items() if len(found) > 1]


def same_pixels(items: Sequence[Example], pixels: dict[str, Pixels]) -> tuple[list[str], list[str]]:
    """Groups of images that show the same pixels: those within one split, and those that divide over splits.

    ``pixels`` maps an item's path to what decoding it told; items without an entry are left out.
    """
    groups: dict[bytes, list[Example]] = defaultdict(list)
    for item in items:
        if item.path in pixels:
            groups[pixels[item.path].digest].append(item)
    within: list[str] = []
    across: list[str] = []
    for group in groups.values():
        if len(group) > 1:
            line = ", ".join(f"{item.id} ({item.split or '-'})" for item in group)
            (within if len({item.split for item in group} - {None}) <= 1 else across).append(line)
    return within, across


def _inspect_files(items: Sequence[Example], on_image: Callable[[], None]) -> tuple[dict[str, Pixels], list[Finding]]:
    """Decode what exists; path -> pixels of the readable files, and what is wrong with the others."""
    paths = list(dict.fromkeys(item.path for item in items if item.path is not None and os.path.isfile(item.path)))

    def decode(path: str) -> Pixels | ImageError:
        try:
            image = load_image(path, max_pixels=None)
        except ImageError as error:
            return error
        finally:
            on_image()
        return Pixels(image.size, hashlib.blake2b(repr(image.size).encode() + image.tobytes()).digest())

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:  # decoding releases the interpreter lock
        decoded = dict(zip(paths, pool.map(decode, paths), strict=True))
    pixels = {path: found for path, found in decoded.items() if isinstance(found, Pixels)}
    unreadable = tuple(str(found) for found in decoded.values() if isinstance(found, ImageError))
    too_thin = tuple(
        f"{path}: {found.size[0]} x {found.size[1]}" for path, found in pixels.items() if not viewable(*found.size)
    )
    within, across = same_pixels(items, pixels)
    return pixels, [
        Finding("image files missing", tuple(missing_files(items)), True),
        Finding("image files unreadable", unreadable, True),
        Finding(f"images with sides over {MAX_ASPECT} to 1, which no policy can be shown", too_thin, False),
        Finding("groups of images with the same pixels in different splits", tuple(across), True),
        Finding("groups of images with the same pixels in one split", tuple(within), False),
    ]


def _clipped(benchmark: Benchmark, labels: Sequence[Label]) -> list[str]:
    return [
        f"{label.where}: {label.id} has score {label.score:g}"
        for label in labels
        if benchmark.scale.contains(label.score) and benchmark.scale.clips(label.score)
    ]


def _unexpected_count(benchmark: Benchmark, labels: Sequence[Label]) -> list[str]:
    expected = benchmark.source.count
    return [] if expected in (None, len(labels)) else [f"{len(labels)} rows, published are {expected}"]

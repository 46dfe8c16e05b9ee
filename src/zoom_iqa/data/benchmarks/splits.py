"""Images divided into train, val and test: as published, or drawn from a seed without ever dividing one content.

A seeded draw sorts contents by a hash of (seed, content), so it depends on nothing but the labels: not on the order
of the file, the platform or a library's random generator.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Protocol

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import IMAGE, manifest_rows, read_rows

SPLITS = ("train", "val", "test")


class Split(Protocol):
    """Assigns every label to a split."""

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """The split of each label, in order; None belongs to no split, only to the whole set.

        Raises:
            DataError: the labels do not say what the rule needs.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PublishedSplit:
    """The publisher's own split, taken from the labels; labels that name no split at all have none."""

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """Each label's own split; see :class:`Split`."""
        if all(label.split is None for label in labels):
            return [None] * len(labels)
        odd = [f"{label.where}: {label.id} has split {label.split}" for label in labels if label.split not in SPLITS]
        if odd:
            raise DataError(
                f"{len(odd)} rows belong to none of {', '.join(SPLITS)}; correct them, or draw the split from a seed "
                "(benchmark/split=seeded)",
                odd,
            )
        return [label.split for label in labels]


@dataclass(frozen=True, kw_only=True)
class SeededSplit:
    """Shares of the contents drawn from a seed; ``fractions`` maps train, val and test to shares that sum to 1.

    Raises:
        ConfigError: an unknown split, a negative share, or shares that do not sum to 1.
    """

    seed: int
    fractions: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = [name for name in self.fractions if name not in SPLITS]
        if unknown:
            raise ConfigError(f"split.fractions names {', '.join(unknown)}; the splits are {', '.join(SPLITS)}")
        shares = list(self.fractions.values())
        if any(share < 0 for share in shares) or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise ConfigError(f"split.fractions are {shares}: give shares of at least 0 that sum to 1")

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """Draw contents, not images; see :class:`Split`."""
        contents = _shuffled({label.content for label in labels}, self.seed)
        split_of: dict[str, str] = {}
        share = 0.0
        for name, fraction in self.fractions.items():
            share += fraction
            for content in contents[len(split_of) : round(share * len(contents))]:
                split_of[content] = name
        return [split_of[label.content] for label in labels]


@dataclass(frozen=True, kw_only=True)
class GivenOrSeededSplit(SeededSplit):
    """As the labels say; labels that name no split at all are drawn, see :class:`SeededSplit`."""

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """Given, or drawn; see :class:`Split`."""
        if all(label.split is None for label in labels):
            return super().assign(labels)
        return PublishedSplit().assign(labels)


@dataclass(frozen=True, kw_only=True)
class HeldOutValidation:
    """The published split, with ``fraction`` of the training contents set aside as val by a seed.

    For sets published with train and test alone: choosing a checkpoint must not look at test.

    Raises:
        ConfigError: the fraction is not between 0 and 1.
    """

    seed: int
    fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ConfigError(f"split.fraction is {self.fraction}: give a share between 0 and 1")

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """Published, then train divided; see :class:`Split`."""
        published = PublishedSplit().assign(labels)
        contents = {label.content for label, split in zip(labels, published, strict=True) if split == "train"}
        held_out = set(_shuffled(contents, self.seed)[: round(self.fraction * len(contents))])
        return [
            "val" if split == "train" and label.content in held_out else split
            for label, split in zip(labels, published, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class ListedSplit:
    """The images that files name: ``lists`` maps train, val or test to a manifest, of which only the images are read.

    For the test lists that published figures are of, such as DeQA-Score's (JSON lists with ``image`` and ``gt_score``).
    An image is found by its file name, and by the folders above it where several have that name; images in no list
    belong to no split.

    Raises:
        ConfigError: there is no list, or one for a split that is none.
    """

    lists: Mapping[str, str]

    def __post_init__(self) -> None:
        unknown = [name for name in self.lists if name not in SPLITS]
        if unknown or not self.lists:
            named = ", ".join(unknown) or "no split"
            raise ConfigError(f"split.lists names {named}; give files for one or more of {', '.join(SPLITS)}")

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """The split in whose list an image is; see :class:`Split`.

        Raises:
            DataError: a list cannot be read, or an image of it has no label, or several, or is listed twice.
        """
        by_name: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            by_name.setdefault(PurePosixPath(label.image).name, []).append(index)
        listed: dict[int, tuple[str, str]] = {}
        odd: list[str] = []
        for split, file in self.lists.items():
            for where, image in listed_images(Path(file).expanduser()):
                found = _likest(image, labels, by_name.get(PurePosixPath(image).name, []))
                if len(found) != 1:
                    odd.append(f"{where}: {image} is the name of {len(found) or 'no'} labelled images")
                elif found[0] in listed:
                    odd.append(f"{where}: {image} is listed already, at {listed[found[0]][1]}")
                else:
                    listed[found[0]] = split, where
        if odd:
            raise DataError(f"{len(odd)} entries of split.lists cannot be used; correct or remove them", odd)
        return [listed[index][0] if index in listed else None for index in range(len(labels))]


def listed_images(path: Path) -> list[tuple[str, str]]:
    """Each entry of a list: its place in the file and the image it names.

    Raises:
        DataError: the file is not there, or is no manifest of images.
    """
    if not os.path.isfile(path):
        raise DataError(f"split.lists: there is no file {path}")
    return read_rows(manifest_rows(path, (IMAGE,)), lambda row: (row.where, row.text(row.given(*IMAGE))))


def _likest(image: str, labels: Sequence[Label], candidates: Sequence[int]) -> list[int]:
    """Those of the candidates whose paths agree with ``image`` over the most parts, from the last one on."""
    parts = PurePosixPath(image).parts[::-1]

    def agreement(index: int) -> int:
        pairs = zip(parts, PurePosixPath(labels[index].image).parts[::-1], strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    best = max(map(agreement, candidates), default=0)
    return [index for index in candidates if agreement(index) == best]


@dataclass(frozen=True, kw_only=True)
class SceneSplit(SeededSplit):
    """Blocks of ``block`` consecutive file numbers drawn from a seed: for photographs numbered as they were taken.

    Neighbours mostly show one scene, so a number is a content of its own only far from others. Blocks that hold the two
    images of a pair in ``alike`` (ids of near-duplicates) go together, and an image outside test within ``gap`` numbers
    of a test image belongs to no split.

    Raises:
        ConfigError: a width below 1, a negative gap, a pair that is none, or shares that do not sum to 1.
    """

    block: int
    gap: int
    alike: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1 or self.gap < 0:
            raise ConfigError(f"split.block={self.block}, split.gap={self.gap}: give at least 1 and 0 file numbers")
        odd = [list(pair) for pair in self.alike if len(set(pair)) != 2]
        if odd:
            raise ConfigError(f"split.alike holds {odd[0]}: give pairs of two different ids")

    def assign(self, labels: Sequence[Label]) -> list[str | None]:
        """Draw groups of blocks, then clear the borders of test; see :class:`Split`.

        Raises:
            DataError: an id has no file number, or a pair names one that no label has.
        """
        number_of = {label.id: _number(label) for label in labels}
        unknown = sorted({name for pair in self.alike for name in pair if name not in number_of})
        if unknown:
            raise DataError(f"{len(unknown)} ids of split.alike have no label; correct or remove them", unknown)
        scene_of = scene_blocks(number_of, block=self.block, alike=self.alike)
        grouped = [replace(label, reference=f"block {scene_of[label.id]}") for label in labels]
        drawn = super().assign(grouped)
        tested = sorted(number_of[label.id] for label, split in zip(labels, drawn, strict=True) if split == "test")
        return [
            split if split == "test" or not _near(number_of[label.id], tested, self.gap) else None
            for label, split in zip(labels, drawn, strict=True)
        ]


def scene_blocks(number_of: Mapping[str, int], *, block: int, alike: Sequence[Sequence[str]]) -> dict[str, int]:
    """The scene of each id, from its file number: its block of numbers, or the least of the blocks that pairs join.

    An id of ``alike`` that has no number joins nothing.
    """
    block_of = {name: number // block for name, number in number_of.items()}
    pairs = [(block_of[one], block_of[other]) for one, other in alike if one in block_of and other in block_of]
    least = _joined(set(block_of.values()), pairs)
    return {name: least[own] for name, own in block_of.items()}


def _number(label: Label) -> int:
    found = re.search(r"[0-9]+", PurePosixPath(label.id).name)
    if found is None:
        raise DataError(f"{label.where}: {label.id} has no file number; draw another split (benchmark/split=seeded)")
    return int(found[0])


def _joined(blocks: Iterable[int], pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The least block of each block's group, where pairs join groups."""
    least = {block: block for block in blocks}
    for first, second in pairs:
        joined = {least[first], least[second]}
        least = {block: min(joined) if group in joined else group for block, group in least.items()}
    return least


def _near(number: int, others: Sequence[int], gap: int) -> bool:
    """Whether one of the sorted ``others`` is at most ``gap`` away."""
    place = bisect_left(others, number - gap)
    return place < len(others) and others[place] <= number + gap


def _shuffled(contents: Iterable[str], seed: int) -> list[str]:
    return sorted(contents, key=lambda content: hashlib.sha256(f"{seed}/{content}".encode()).digest())

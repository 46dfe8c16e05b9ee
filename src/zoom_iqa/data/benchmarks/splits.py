"""Which image belongs to train, val or test: as published, or drawn from a seed without ever dividing one content.

A seeded draw sorts contents by a hash of (seed, content), so it depends on nothing but the labels: not on the order
of the file, the platform or a library's random generator.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.data.benchmarks.label import Label

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


def _shuffled(contents: Iterable[str], seed: int) -> list[str]:
    return sorted(contents, key=lambda content: hashlib.sha256(f"{seed}/{content}".encode()).digest())

"""A fixed part of a data set, for looking at it often or cheaply."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch.utils.data import Dataset

from zoom_iqa.base.ranges import require_count_or_none
from zoom_iqa.base.targets import Preference
from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.datasets import ImageDataset


class FixedSubset(Dataset[Sample]):
    """At most ``limit`` images of ``dataset`` in its order, chosen by a hash of their names; None keeps all.

    The choice follows from the labels alone, and a larger limit adds to it. Two questions about one pair of images, in
    either order, follow each other in it.

    Raises:
        ConfigError: ``limit`` is not a whole number of at least 1.
    """

    def __init__(self, *, dataset: ImageDataset, limit: int | None) -> None:
        require_count_or_none("limit", limit, none_means="keeps every image")
        items = dataset.items()
        by_hash = sorted(range(len(items)), key=lambda index: _digest(items[index]))
        self._dataset = dataset
        self._indices = sorted(by_hash[:limit])
        self._items = tuple(items[index] for index in self._indices)

    def items(self) -> Sequence[Example]:
        """The labels of the chosen images."""
        return self._items

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[self._indices[index]]


def _digest(item: Example) -> bytes:
    target = item.target
    name = target.pair if isinstance(target, Preference) and target.pair is not None else item.id
    return hashlib.sha256(f"{item.dataset}:{name}".encode()).digest()

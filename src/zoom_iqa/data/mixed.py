"""Several sets of made images as one, in one drawn order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.datasets import MadeImages


class MixedSet(Dataset[Sample]):
    """Every image of every set once, in an order that follows from ``seed``."""

    def __init__(self, *, sets: Sequence[MadeImages], seed: int) -> None:
        self._sets = tuple(sets)
        places = [(one, index) for one, images in enumerate(self._sets) for index in range(len(images))]
        self._places = [places[i] for i in np.random.default_rng(seed).permutation(len(places))]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def picture_names(self) -> Sequence[str]:
        """The names of all sets' photographs, each once."""
        return tuple(dict.fromkeys(name for one in self._sets for name in one.picture_names))

    def items(self) -> list[Example]:
        """The labels, in index order."""
        items = [one.items() for one in self._sets]
        return [items[one][index] for one, index in self._places]

    def __getitem__(self, index: int) -> Sample:
        one, inner = self._places[index]
        return self._sets[one][inner]

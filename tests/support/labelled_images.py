"""A data set in memory: given scores, and pictures whose brightness says them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from zoom_iqa.base.types import Example, Sample, rated_example


class BrightnessSet:
    """Image i is grey of level 40 * mos; ``opened`` counts how often pixels were asked for."""

    def __init__(self, mos: Sequence[float]) -> None:
        self._items = [rated_example(id=f"{i}.png", dataset="grey", mos=score) for i, score in enumerate(mos)]
        self.opened = 0

    def items(self) -> Sequence[Example]:
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        self.opened += 1
        level = round(40 * self._items[index].mos)
        return Sample.of(self._items[index], Image.new("RGB", (4, 4), (level, level, level)))

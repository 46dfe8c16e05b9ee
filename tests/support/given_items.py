"""A data set whose labels are what a config says, and that checks none of them."""

from __future__ import annotations

from collections.abc import Sequence

from zoom_iqa.base.types import Example, Sample, rated_example


class GivenItems:
    """Images that nobody gets to see, with files in ``root``. Configs name it ``support.given_items.GivenItems``."""

    def __init__(self, *, ids: Sequence[str], mos: Sequence[float], root: str | None) -> None:
        paths = [None if root is None else f"{root}/{name}" for name in ids]
        self._items = [
            rated_example(id=name, dataset="given", mos=float(score), path=path)
            for name, score, path in zip(ids, mos, paths, strict=True)
        ]

    def items(self) -> list[Example]:
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("an image was opened")

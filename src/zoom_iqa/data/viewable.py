"""Training images that no policy can be shown, or that can be read no more: passed over when they are opened, and said.

Those too thin to be shown are so from the beginning, and said in the process that meets them. Those that have broken
since are a loss, which is handed on with the sample that takes their place: training counts them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch.utils.data import Dataset

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.types import Example, ImagePart
from zoom_iqa.tasks.tools.crop import why_unviewable

Item = TypeVar("Item")


@runtime_checkable
class Pictured(Protocol):
    """A sample, or a trajectory, of an example whose images are known."""

    @property
    def example(self) -> Example:
        """The example that the images belong to."""
        ...

    @property
    def images(self) -> Sequence[ImagePart]:
        """All that is shown."""
        ...


@dataclass(frozen=True)
class LostImage:
    """A sample's image that can be read no more: the sample's ``name``, what its views share, and the error's words."""

    name: str
    file: str
    reason: str


@dataclass(frozen=True)
class Replaced:
    """A sample in the place of those with ``lost`` images; none where there were more of them than are borne."""

    sample: Any | None
    lost: tuple[LostImage, ...]


class Viewable(Dataset[Any]):
    """``dataset``, in which a sample that no policy can be shown gives its place to the next one in its order.

    Batches keep their size in every process so, and a run its place when it goes on. Each image that is too thin is
    named once by each process that meets it, whatever its number of views. One that cannot be read is handed on as a
    loss; after more than ``most_lost`` of them no further place is looked at.
    """

    def __init__(self, dataset: Any, *, most_lost: int) -> None:
        self._dataset, self._most_lost = dataset, most_lost
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        """The sample, or a Replaced of it.

        Raises:
            ImageError: there is none that can be shown.
        """
        lost: list[LostImage] = []
        for step in range(len(self)):
            place = (index + step) % len(self)
            try:
                sample = self._dataset[place]
            except ImageError as error:
                example = self._dataset.items()[place]
                lost.append(LostImage(example.name, _file(example), str(error)))
                if len({one.file for one in lost}) > self._most_lost:
                    return Replaced(None, tuple(lost))
                continue
            why = why_unviewable(sample.images) if isinstance(sample, Pictured) else None
            if why is None:
                return Replaced(sample, tuple(lost)) if lost else sample
            self._say(sample.example, why)
        raise ImageError("no image of the training set can be shown to a policy; all are said above")

    def _say(self, example: Example, why: str) -> None:
        file = _file(example)
        if file not in self._said:
            self._said.add(file)
            print(f"left out of training: {printable(example.name, limit=200)}, {why}", file=sys.stderr)


def _file(example: Example) -> str:
    return example.path or example.name

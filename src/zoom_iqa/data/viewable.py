"""Training images that no policy can be shown: found when they are opened, said, and passed over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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


class Viewable(Dataset[Any]):
    """``dataset``, in which a sample that no policy can be shown gives its place to the next one in its order.

    Batches keep their size in every process so, and a run its place when it goes on. Each such image is named once by
    each process that meets it, whatever its number of views.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        """The sample.

        Raises:
            ImageError: there is none that can be shown.
        """
        for step in range(len(self)):
            place = (index + step) % len(self)
            sample = self._dataset[place]
            why = why_unviewable(sample.images) if isinstance(sample, Pictured) else None
            if why is None:
                return sample
            name, file = sample.example.name, sample.example.path or sample.example.name
            if file not in self._said:
                self._said.add(file)
                print(f"left out of training: {printable(name, limit=200)}, {why}", file=sys.stderr)
        raise ImageError("no image of the training set can be shown to a policy; all are said above")

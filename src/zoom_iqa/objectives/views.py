"""Other sights of a prompt, in which evidence is hidden: what they show in place of its images.

For Evidence Gradient Filtering, of which only the name and the purpose are public (Q-DeepSight, arXiv 2604.16858); the
views are ours. A view keeps an image's size, so that a prompt keeps its tokens and their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from zoom_iqa.base.types import ImagePart, Region
from zoom_iqa.tasks.task import Given

if TYPE_CHECKING:
    from PIL.Image import Image

FirstView = Callable[[], "Image"]
"""Makes the original at the size at which the policy was shown it, for views that need it."""


class View(Protocol):
    """Says what is shown in place of each image; None leaves an image as it is."""

    def original(self, image: ImagePart) -> ImagePart | None:
        """In place of an image that no look has brought."""
        ...

    def crop(self, crop: ImagePart, *, region: Region, first: FirstView) -> ImagePart | None:
        """In place of the crop of a region; ``first`` makes the original at the size at which it was shown."""
        ...


class HidesEvidence(View, Protocol):
    """A view that hides what looks have shown, or more."""

    @property
    def needs(self) -> frozenset[Given]:
        """The parts of a trajectory without which it hides nothing."""
        ...


class CoarseCrop:
    """A crop becomes the same region of the first view, enlarged to its size.

    So the detail that looking closer has revealed is gone and nothing else: what the region shows, and how the whole
    image looks, stay as they are. Hiding a whole image would change the attribute that is judged.
    """

    needs: frozenset[Given] = frozenset({"looks"})

    def original(self, image: ImagePart) -> ImagePart | None:
        """As it is."""
        return None

    def crop(self, crop: ImagePart, *, region: Region, first: FirstView) -> ImagePart | None:
        """The region as the first view had it."""
        from PIL.Image import Resampling

        seen = first()
        box = (region[0] * seen.width, region[1] * seen.height, region[2] * seen.width, region[3] * seen.height)
        return ImagePart.of(seen.resize(crop.image.size, resample=Resampling.BICUBIC, box=box))


class NoCrop:
    """A crop becomes a grey one; the first view stays."""

    needs: frozenset[Given] = frozenset({"looks"})

    def original(self, image: ImagePart) -> ImagePart | None:
        """As it is."""
        return None

    def crop(self, crop: ImagePart, *, region: Region, first: FirstView) -> ImagePart | None:
        """Grey."""
        return _grey(crop.image)


class BlankImage:
    """Every image becomes a grey one."""

    needs: frozenset[Given] = frozenset()

    def original(self, image: ImagePart) -> ImagePart | None:
        """Grey."""
        return _grey(image.image)

    def crop(self, crop: ImagePart, *, region: Region, first: FirstView) -> ImagePart | None:
        """Grey."""
        return _grey(crop.image)


def hidden_mark(view: str) -> str:
    """The name of the mark of tokens that were written after something that a view hides."""
    return f"hidden/{view}"


def _grey(image: Image) -> ImagePart:
    from PIL.Image import new

    return ImagePart.of(new("RGB", image.size, (128, 128, 128)))

"""Other sights of a prompt, in which evidence is hidden: what they show in place of its images.

For Evidence Gradient Filtering, of which only the name and the purpose are public (Q-DeepSight, arXiv 2604.16858); the
views are ours. A view keeps an image's size, so that a prompt keeps its tokens and their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zoom_iqa.base.types import ImagePart, Region

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""Width and height in pixels."""


class View(Protocol):
    """Says what is shown in place of each image; None leaves an image as it is."""

    def original(self, image: ImagePart) -> ImagePart | None:
        """In place of an image that no look has brought."""
        ...

    def crop(self, crop: ImagePart, *, original: ImagePart, region: Region, seen: Size) -> ImagePart | None:
        """In place of the crop of a region; ``seen`` is the size at which the policy was shown the original."""
        ...


class CoarseCrop:
    """A crop becomes the same region of the first view, enlarged to its size.

    So the detail that looking closer has revealed is gone and nothing else: what the region shows, and how the whole
    image looks, stay as they are. Hiding a whole image would change the attribute that is judged.
    """

    def original(self, image: ImagePart) -> ImagePart | None:
        """As it is."""
        return None

    def crop(self, crop: ImagePart, *, original: ImagePart, region: Region, seen: Size) -> ImagePart | None:
        """The region as the first view had it."""
        from PIL.Image import Resampling

        first = original.image.resize(seen, resample=Resampling.BICUBIC)
        box = (region[0] * seen[0], region[1] * seen[1], region[2] * seen[0], region[3] * seen[1])
        return ImagePart.of(first.resize(crop.image.size, resample=Resampling.BICUBIC, box=box))


class NoCrop:
    """A crop becomes a grey one; the first view stays."""

    def original(self, image: ImagePart) -> ImagePart | None:
        """As it is."""
        return None

    def crop(self, crop: ImagePart, *, original: ImagePart, region: Region, seen: Size) -> ImagePart | None:
        """Grey."""
        return _grey(crop.image)


class BlankImage:
    """Every image becomes a grey one."""

    def original(self, image: ImagePart) -> ImagePart | None:
        """Grey."""
        return _grey(image.image)

    def crop(self, crop: ImagePart, *, original: ImagePart, region: Region, seen: Size) -> ImagePart | None:
        """Grey."""
        return _grey(crop.image)


def hidden_mark(view: str) -> str:
    """The name of the mark of tokens that were written after something that a view hides."""
    return f"hidden/{view}"


def _grey(image: Image) -> ImagePart:
    from PIL.Image import new

    return ImagePart.of(new("RGB", image.size, (128, 128, 128)))

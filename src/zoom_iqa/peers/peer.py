"""The protocols of a peer: another way to score an image, over the same images and by the same figures as a policy."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from PIL.Image import Image

from zoom_iqa.data.datasets import ImageDataset


class Peer(Protocol):
    """Scores single images.

    ``lower_is_better`` says which way its scores go; ``on_mos_scale`` whether they are estimates of the mean opinion
    score on 1-5, so that their distance to it means something.
    """

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower score means a better image."""
        ...

    @property
    def on_mos_scale(self) -> bool:
        """Whether scores are on 1-5, 5 best."""
        ...

    def score(self, image: Image) -> float:
        """The score of an RGB image, on the peer's own scale.

        Raises:
            ImageError: the method has no score for this image.
        """
        ...


@runtime_checkable
class LearningPeer(Peer, Protocol):
    """A peer that has to see labelled images before it can score."""

    def fit(self, dataset: ImageDataset) -> None:
        """Learn from ``dataset``; what was learned before is forgotten."""
        ...

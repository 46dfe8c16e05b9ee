"""The prompts of rollouts under a view: the same tokens, other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from PIL.Image import Image, Resampling

from zoom_iqa.base.types import ImagePart, Region, Request, Rollout
from zoom_iqa.objectives.views import View
from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy


def views_of(
    rollouts: Sequence[Rollout], sequences: Sequence[PromptCompletion], views: Mapping[str, View], *, policy: Policy
) -> dict[str, tuple[PromptCompletion, ...]]:
    """The sequences, one for each step of the rollouts in order, under each view.

    A sequence that a view leaves as it is stays the same object.
    """
    steps = [(rollout, number) for rollout in rollouts for number in range(len(rollout.steps))]
    return {
        name: tuple(
            _seen(rollout, number, sequence, sights, policy)
            for (rollout, number), sequence in zip(steps, sequences, strict=True)
        )
        for name, sights in ((name, _Sights(view)) for name, view in views.items())
    }


class _Sights:
    """A view's pictures, each made once: later turns show the crops of earlier ones again."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._originals: dict[str, ImagePart | None] = {}
        self._firsts: dict[str, Image] = {}
        self._crops: dict[tuple[str, str, Region], ImagePart | None] = {}

    def original(self, image: ImagePart) -> ImagePart | None:
        """In place of an image that no look has brought."""
        if image.key not in self._originals:
            self._originals[image.key] = self._view.original(image)
        return self._originals[image.key]

    def crop(self, crop: ImagePart, *, original: ImagePart, region: Region, seen: tuple[int, int]) -> ImagePart | None:
        """In place of a crop of the original, which the policy was shown with ``seen`` as its width and height."""
        key = (crop.key, original.key, region)
        if key not in self._crops:
            self._crops[key] = self._view.crop(crop, region=region, first=lambda: self._first(original, seen))
        return self._crops[key]

    def _first(self, original: ImagePart, seen: tuple[int, int]) -> Image:
        if original.key not in self._firsts:
            self._firsts[original.key] = original.image.resize(seen, resample=Resampling.BICUBIC)
        return self._firsts[original.key]


def _seen(
    rollout: Rollout, number: int, sequence: PromptCompletion, sights: _Sights, policy: Policy
) -> PromptCompletion:
    parts = _images_of(rollout.steps[number].request)
    regions = [look.region for step in rollout.steps[:number] for look in step.looks if look.region is not None]
    brought = len(parts) - len(regions)  # a prompt ends with the crops that its looks have brought
    seen = [sights.original(part) for part in parts[:brought]]
    seen += [
        sights.crop(part, original=parts[0], region=region, seen=_size_seen(sequence.prompt, policy))
        for part, region in zip(parts[brought:], regions, strict=True)
    ]
    if all(image is None for image in seen):
        return sequence
    pairs = zip(sequence.prompt.images, seen, strict=True)
    images = tuple(shown if image is None else _like(shown, policy.images(image)) for shown, image in pairs)
    key = f"{sequence.prompt_key} {' '.join(image.key for image in images)}"
    return PromptCompletion(replace(sequence.prompt, images=images), key, sequence.completion_C)


def _images_of(request: Request) -> list[ImagePart]:
    return [part for message in request.prompt for part in message.parts if isinstance(part, ImagePart)]


def _size_seen(prompt: EncodedPrompt, policy: Policy) -> tuple[int, int]:
    """Width and height, in pixels, at which the vision tower is shown the first image."""
    _, rows, columns = prompt.images[0].grid
    side = policy.model.config.vision_config.patch_size
    return columns * side, rows * side


def _like(shown: EncodedImage, other: EncodedImage) -> EncodedImage:
    assert shown.grid == other.grid, "a view keeps the size of an image, and so its tokens"
    return other

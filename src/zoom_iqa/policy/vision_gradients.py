"""Vision features with gradient, made once per optimizer step however many micro-batches show an image.

The language model's backward ends at the features. Gradients left there add up, and one backward through the tower
follows once no micro-batch to come shows the image: the same gradient as through the tower each time.

Legend: M merged image tokens, H hidden width of the language model.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage
from zoom_iqa.policy.vision_cache import VisionCache, encode_images


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Images that went through the tower together: its outputs, and the leaves that stand for them until the end."""

    outputs: dict[str, Tensor]
    leaves: dict[str, Tensor]


class VisionGradients:
    """Features by key for the forwards of one optimizer step; ``finish`` them before the step is made.

    Under ``torch.no_grad`` the features are those of ``cache``, as the rollout has left them: such a pass is no part of
    the step.
    """

    def __init__(self, *, model: Any, cache: VisionCache) -> None:
        self._model = model
        self._cache = cache
        self._open: list[_Encoded] = []

    def __call__(self, images: Sequence[EncodedImage]) -> list[Tensor]:
        """Features (M, H) of each image; all that are missing go through the tower at once."""
        if not torch.is_grad_enabled():
            return self._cache(images)
        kept = {key: leaf for encoded in self._open for key, leaf in encoded.leaves.items()}
        missing = {image.key: image for image in images if image.key not in kept}
        if missing:
            outputs = dict(zip(missing, encode_images(self._model, list(missing.values())), strict=True))
            leaves = {key: output.detach().requires_grad_() for key, output in outputs.items()}
            self._open.append(_Encoded(outputs, leaves))
            kept |= leaves
        return [kept[image.key] for image in images]

    def clear(self) -> None:
        """Forget what a step that did not come to its end has left, and the cache: the weights have changed."""
        self._open.clear()
        self._cache.clear()

    def finish(self, still_shown: Collection[str]) -> None:
        """Backward through the tower for all images but those encoded together with one that is still to be shown."""
        done = [encoded for encoded in self._open if encoded.outputs.keys().isdisjoint(still_shown)]
        self._open = [encoded for encoded in self._open if encoded not in done]
        for encoded in done:
            reached = [key for key, leaf in encoded.leaves.items() if leaf.grad is not None]
            if reached:
                torch.autograd.backward(
                    [encoded.outputs[key] for key in reached], [encoded.leaves[key].grad for key in reached]
                )

"""Vision features once per image and tower version, without gradient, in bounded memory.

Legend: M merged image tokens, H hidden width of the language model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage


class VisionCache:
    """Features of images by key; the least recently used leave when the sum of kept tokens exceeds ``capacity``.

    Features belong to one state of the tower and one meaning of the keys: call ``clear`` when either changes.
    """

    def __init__(self, *, model: Any, capacity: int) -> None:
        self._model = model
        self._capacity = capacity
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._tokens = 0
        self.version = 0

    def __call__(self, images: Sequence[EncodedImage]) -> list[Tensor]:
        """Features (M, H) of each image, on the model's device; all that are missing go through the tower at once."""
        missing = {image.key: image for image in images if image.key not in self._kept}
        fresh: dict[str, Tensor] = {}
        if missing:
            with torch.no_grad():
                made = encode_images(self._model, list(missing.values()))
            fresh = dict(zip(missing, made, strict=True))
        found = [fresh[image.key] if image.key in fresh else self._kept[image.key] for image in images]
        for image, features_MH in zip(images, found, strict=True):
            self._keep(image.key, features_MH)
        return found

    def clear(self) -> None:
        """Forget everything: the tower's weights, or what the keys stand for, have changed."""
        self._kept.clear()
        self._tokens = 0
        self.version += 1

    def _keep(self, key: str, features_MH: Tensor) -> None:
        if key not in self._kept:
            self._kept[key] = features_MH
            self._tokens += len(features_MH)
        self._kept.move_to_end(key)
        while self._tokens > self._capacity:
            _, dropped = self._kept.popitem(last=False)
            self._tokens -= len(dropped)


def encode_images(model: Any, images: Sequence[EncodedImage]) -> list[Tensor]:
    """Run the vision tower over images of any sizes; features (M, H) of each, with gradient where it is enabled."""
    device = next(model.parameters()).device
    pixels_PD = torch.cat([image.pixels_PD for image in images]).to(device, non_blocking=True)
    grids = torch.tensor([image.grid for image in images], device=device)
    return list(model.get_image_features(pixels_PD, grids, return_dict=True).pooler_output)

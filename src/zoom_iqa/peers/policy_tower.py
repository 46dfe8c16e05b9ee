"""Frozen features of a policy's vision tower: what it knows of an image, whatever the language model makes of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from zoom_iqa.base.types import ImagePart
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images


class PolicyTower:
    """Mean and standard deviation over the image's tokens, as the language model is given them."""

    def __init__(self, *, policy: Policy) -> None:
        self._policy = policy
        policy.model.eval()

    @torch.inference_mode()
    def features(self, image: Image) -> NDArray[np.float64]:
        """Shape (2 H,) for a language model of width H: H means, then H standard deviations."""
        encoded = self._policy.images(ImagePart.of(image))
        tokens_MH = encode_images(self._policy.model, [encoded])[0]
        return torch.cat([tokens_MH.mean(dim=0), tokens_MH.std(dim=0, correction=0)]).double().cpu().numpy()

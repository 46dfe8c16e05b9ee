"""Lets torchvision's Python parts work where its compiled ones do not load.

Two operators that torchvision describes to torch are declared, and cannot be called; images are decoded by PIL.
``make vllm-env`` puts this file into the site-packages of its environment, with a .pth file that imports it in every
process that starts there, servers' workers included.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

DESCRIBES = "torchvision._meta_registrations"
DECODES = "torchvision.io.image"
SIGNATURES = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_KEPT: list[object] = []  # a library that is collected takes its operators with it


class StandIn(MetaPathFinder):
    """Acts when torchvision imports one of two modules: before the one, after the other."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """None, but for the module that decodes images."""
        if name == DESCRIBES:
            _declare()
        spec = PathFinder.find_spec(name, path, target) if name == DECODES else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Decoding(spec.loader)
        return spec


class _Decoding(Loader):
    """Loads the module, then gives it a decoder if it has none."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As usual."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As usual, and the decoder."""
        self._loader.exec_module(module)
        found: Any = module
        if not found._has_image_ops():
            found.decode_image = decode_image


def decode_image(source: Any, mode: Any = "RGB", apply_exif_orientation: bool = False) -> Any:
    """An image (3, height, width) of 8 bits, from a file or from its bytes as a tensor."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    if getattr(mode, "name", mode) != "RGB":
        raise RuntimeError(f"mode={mode}: PIL stands in for torchvision's decoder, for RGB alone")
    data = Path(source).read_bytes() if isinstance(source, str) else source.numpy().tobytes()
    image = Image.open(io.BytesIO(data))
    shown = ImageOps.exif_transpose(image) if apply_exif_orientation else image
    return torch.from_numpy(np.array(shown.convert("RGB"))).permute(2, 0, 1)


def _declare() -> None:
    import torch

    missing = [signature for name, signature in SIGNATURES.items() if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "DEF")
        for signature in missing:
            library.define(signature)
        _KEPT.append(library)


sys.meta_path.insert(0, StandIn())

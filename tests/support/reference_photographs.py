"""Photographs of the package, with scores that other programs gave to them, recorded by hand."""

from __future__ import annotations

from importlib.resources import files

from PIL import Image

NAMES = ("coffee", "astronaut", "rocket", "stream", "tiger")
BASICSR_NIQE = dict(zip(NAMES, (4.1945, 3.0343, 4.9406, 2.9074, 3.0356), strict=True))
"""``calculate_niqe`` of BasicSR 1.4.2 on the photograph's luma (Pillow's L), which agrees with the MATLAB code."""

BRISQUE_PACKAGE = dict(zip(NAMES, (0.495, 10.430, 10.058, 15.083, 2.423), strict=True))
"""``BRISQUE.score`` of brisque 0.2.0 with the one line mended that NumPy 2 refuses. It pads with black and weighs the
colours otherwise; with both done its way, ours are 0.494, 8.667, 9.984, 15.083 and 2.412."""


def photograph(name: str) -> Image.Image:
    """One of them, 512 x 384 as RGB."""
    with (files("zoom_iqa") / "assets" / "photographs" / f"{name}.jpg").open("rb") as file:
        return Image.open(file).convert("RGB")

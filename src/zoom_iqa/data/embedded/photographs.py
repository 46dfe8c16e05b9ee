"""The photographs shipped with the package: their names by split, and their pixels."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ("train", "val", "test")
PIXELS = 512 * 384
"""Pixels of every photograph, whichever way it is held."""
FOLDER = Path(str(files("zoom_iqa") / "assets" / "photographs"))


@lru_cache(maxsize=1)
def photographs() -> dict[str, str]:
    """Split ("train", "val" or "test") by the name of the photograph (its file without ".jpg"), sorted by name."""
    table = (FOLDER / "ATTRIBUTION.csv").read_text(encoding="utf-8").splitlines()
    return {row["file"].removesuffix(".jpg"): row["split"] for row in csv.DictReader(table)}


@lru_cache(maxsize=160)
def load_photograph(name: str) -> np.ndarray:
    """Pixels of a photograph: (384, 512, 3) or (512, 384, 3) uint8 RGB, read-only because it is kept and shared."""
    with (FOLDER / f"{name}.jpg").open("rb") as file:
        pixels = np.array(Image.open(file).convert("RGB"))
    pixels.flags.writeable = False
    return pixels

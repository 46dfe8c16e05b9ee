"""Pristine pictures that the embedded set distorts: the shipped photographs, or a folder of larger ones.

A larger photograph is another picture with every draw: a part of it, turned, tinted or joined to a part of another. A
network that is to judge quality anywhere must not know its pictures by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.embedded.photographs import load_photograph, photographs

WIDTH, HEIGHT = 512, 384
SMALLEST_PART = 0.6  # of a photograph's sides; a part is never enlarged by more than ``MOST_ENLARGED``
MOST_ENLARGED = 1.1
JOINED = 0.15  # how often a picture is two photographs side by side
TINT = 0.08  # largest change of a colour channel's gain


class Pictures(Protocol):
    """Named pristine pictures."""

    @property
    def names(self) -> Sequence[str]:
        """The names in an order that never changes."""
        ...

    def draw(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """Pixels (384, 512, 3) or (512, 384, 3) uint8 RGB; read-only where they are shared."""
        ...


class ShippedPictures:
    """The photographs of one split of the package, as they are."""

    def __init__(self, *, split: str) -> None:
        self.names: Sequence[str] = tuple(name for name, where in photographs().items() if where == split)

    def draw(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """The photograph itself; nothing is drawn from ``rng``."""
        return load_photograph(name)


class FolderPictures:
    """The JPEG files of a folder, 4:3 or 3:4, decoded once.

    ``varied`` False gives each photograph whole at 512x384; True gives another picture of it each time.

    Raises:
        ConfigError: the folder holds no JPEG file.
    """

    def __init__(self, *, folder: str, varied: bool) -> None:
        files = sorted(Path(folder).glob("*.jpg"))
        if not files:
            raise ConfigError(
                f"pictures.folder={folder}: there is no .jpg file; fetch the photographs with "
                "`python -m zoom_iqa.tiny_policy.collection FOLDER`"
            )
        self._varied = varied
        self._pixels = {file.stem: _read(file) for file in files}
        self.names: Sequence[str] = tuple(self._pixels)

    def draw(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """A picture of the photograph ``name``."""
        pixels = self._pixels[name]
        if not self._varied:
            return _resize(pixels, *_size(pixels))
        picture = _part(pixels, rng)
        if rng.random() < JOINED:
            other = self._pixels[self.names[int(rng.integers(len(self.names)))]]
            picture = _join(picture, _part(other, rng), rng)
        return _tint(_turn(picture, rng), rng)


def _read(file: Path) -> np.ndarray:
    with file.open("rb") as opened:
        return np.array(Image.open(opened).convert("RGB"))


def _size(pixels: np.ndarray) -> tuple[int, int]:
    """Width and height of a picture of this photograph."""
    return (WIDTH, HEIGHT) if pixels.shape[1] >= pixels.shape[0] else (HEIGHT, WIDTH)


def _resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    smaller = width < pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _part(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width, height = _size(pixels)
    least = min(1.0, max(SMALLEST_PART, width / MOST_ENLARGED / pixels.shape[1]))
    scale = rng.uniform(least, 1.0)
    across, down = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    x, y = rng.integers(pixels.shape[1] - across + 1), rng.integers(pixels.shape[0] - down + 1)
    return _resize(pixels[y : y + down, x : x + across], width, height)


def _join(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``first`` with everything beyond one straight edge from ``second``."""
    if first.shape != second.shape:
        second = np.rot90(second)
    height, width = first.shape[:2]
    share = rng.uniform(0.3, 0.7)
    out = first.copy()
    if rng.random() < 0.5:
        out[:, round(share * width) :] = second[:, round(share * width) :]
    else:
        out[round(share * height) :] = second[round(share * height) :]
    return out


def _turn(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the four turns and their mirrors, the upright one as often as all others together."""
    turns = 0 if rng.random() < 0.5 else int(rng.integers(4))
    turned = np.rot90(picture, turns)
    return np.ascontiguousarray(turned[:, ::-1] if rng.random() < 0.5 else turned)


def _tint(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gains = np.exp(rng.uniform(-TINT, TINT, size=3))
    table = np.clip(np.rint(np.arange(256)[:, None] * gains), 0, 255).astype(np.uint8)
    return cv2.LUT(picture, table[:, None])

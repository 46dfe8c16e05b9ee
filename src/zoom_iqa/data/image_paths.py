"""Files that a command line names: images, folders of them, and globs that no shell has expanded."""

from __future__ import annotations

import glob
import os.path
from collections.abc import Callable, Iterable
from pathlib import Path

from zoom_iqa.base.errors import ConfigError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".bmp", ".gif", ".tif", ".tiff"),
    *(".webp", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of ``zoom_iqa.data.images.FORMATS``; a file that is named itself may have any."""


def image_paths(names: Iterable[str], *, leave_out: Callable[[str], bool] = lambda path: False) -> list[str]:
    """The files meant, each once, in the order of their names' first occurrence.

    A folder stands for every image below it, by suffix, hidden ones left out; a name with ``*``, ``?`` or ``[`` that is
    no file itself for all that it matches. A name that leads to nothing is kept as it is: opening it tells why.
    ``leave_out`` is asked of files that were found so, and not of those that are named.

    Raises:
        ConfigError: a name is empty, which would be the working folder.
    """
    return list(dict.fromkeys(path for name in names for path in _meant(name, leave_out)))


def holds_images(folder: Path) -> bool:
    """Whether a folder stands for any image."""
    return any(_is_taken(path, folder) for path in folder.rglob("*"))


def _meant(name: str, leave_out: Callable[[str], bool]) -> list[str]:
    # os.path says no where a Path raises: of a name that is too long, or in a folder that may not be entered
    if not name:
        raise ConfigError("a name is empty, as that of an unset variable is; name a file, or . for the working folder")
    if os.path.isdir(name):
        return _but(_below(Path(name)), leave_out) or [name]
    if not os.path.exists(name) and glob.has_magic(name):
        found = sorted(glob.glob(name, recursive=True))
        paths = [inner for one in found for inner in (_below(Path(one)) if os.path.isdir(one) else [one])]
        return _but(paths, leave_out) or [name]
    return [name]


def _but(paths: list[str], leave_out: Callable[[str], bool]) -> list[str]:
    return [path for path in paths if not leave_out(path)]


def _below(folder: Path) -> list[str]:
    return [str(path) for path in sorted(path for path in folder.rglob("*") if _is_taken(path, folder))]


def _is_taken(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path) and not hidden

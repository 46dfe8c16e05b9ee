"""Files that a command line names: images, folders of them, and globs that no shell has expanded."""

from __future__ import annotations

import glob
import os.path
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zoom_iqa.base.errors import ConfigError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".tif", ".tiff"),
    *(".webp", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of ``zoom_iqa.data.images.FORMATS``; a file that is named itself may have any."""
UNREAD = (
    ".heic", ".heif", ".jxl", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf",
    ".rw2", ".pef", ".srw", ".3fr", ".erf", ".kdc", ".mrw", ".x3f",
)  # fmt: skip
"""Of photographs that cannot be read: a folder that holds some says so."""


def image_paths(names: Iterable[str], *, leave_out: Callable[[str], bool] = lambda path: False) -> list[str]:
    """The files meant, each once, in the order of their names' first occurrence.

    A folder stands for every image below it, by suffix, hidden ones left out; a name with ``*``, ``?`` or ``[`` that is
    no file itself for all that it matches. A name that leads to nothing is kept as it is, and so is a folder that may
    not be entered: opening it tells why.
    ``leave_out`` is asked of files that were found so, and not of those that are named.

    Raises:
        ConfigError: a name is empty, which would be the working folder.
    """
    return list(dict.fromkeys(path for name in names for path in _meant(name, leave_out)))


def holds_images(folder: Path) -> bool:
    """Whether a folder stands for any image."""
    return any(_is_taken(path) for path in _files_below(folder))


def unread_below(names: Iterable[str]) -> list[str]:
    """The photographs in folders among ``names`` that are of no kind that can be read."""
    files = (path for name in names if os.path.isdir(name) for path in _files_below(Path(name)))
    return [str(path) for path in files if path.suffix.lower() in UNREAD]


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
    closed: list[Path] = []
    files = _files_below(folder, onerror=lambda error: closed.append(Path(error.filename)))
    taken = [path for path in files if _is_taken(path)]
    return [str(path) for path in sorted([*taken, *(path for path in closed if path != folder)])]


def _files_below(folder: Path, *, onerror: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Files that are not hidden; ``onerror`` is told of folders that may not be entered."""
    for place, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place) / name for name in files if not name.startswith("."))


def _is_taken(path: Path) -> bool:
    leads_nowhere = os.path.islink(path) and not os.path.exists(path)  # opening it tells so
    return path.suffix.lower() in SUFFIXES and (os.path.isfile(path) or leads_nowhere)

"""Files and folders that appear whole: written beside their place, moved there at the end; no reader sees half of one.

Until then they have one hidden name, so that what a killed process left is found and removed. A link stays a link, and
the file it leads to is replaced. Pipes and devices, such as /dev/stdout, are written to as they are.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

_PART = ".{}.part"


@contextmanager
def whole_text_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to write, line ends as given. At the end of the block it replaces ``path``.

    If the block raises, or the disk is full, ``path`` stays as it was and nothing is left beside it.
    """
    with _moved(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file
        _to_disk(file)


@contextmanager
def whole_binary_file(path: Path, *, before: Path | None = None) -> Iterator[BinaryIO]:
    """As ``whole_text_file``, for bytes. The file that is replaced stays as ``before``, where that is given."""
    with _moved(path, before) as partial, partial.open("wb") as file:
        yield file
        _to_disk(file)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which at the end of the block is ``path``, where nothing may be; others may read it.

    Libraries that fill it may have given files modes of their own.
    """
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with named_errors(path):
            partial.mkdir(parents=True)
            yield partial
        _as_the_umask_says(partial)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let an error of the disk, which knows none, bear the name of the file that is written."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written in a folder and those below."""
    for part in list(folder.rglob(_PART.format("*"))):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(_PART.format(path.name))


def _as_the_umask_says(folder: Path) -> None:
    probe = folder / _PART.format("mode")
    probe.touch()
    mode = probe.stat().st_mode & 0o666
    probe.unlink()
    for path in (folder, *folder.rglob("*")):
        path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)


@contextmanager
def _moved(path: Path, before: Path | None = None) -> Iterator[Path]:
    if path.exists() and not path.is_file() and not path.is_dir():
        with named_errors(path):
            yield path  # a file moved to its place would remove the device
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    partial = _partial(path)
    try:
        with named_errors(path):
            yield partial
        if path.is_file():
            partial.chmod(stat.S_IMODE(path.stat().st_mode))  # a file that others may not read stays so
            if before is not None:
                _keep(path, before)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _keep(path: Path, before: Path) -> None:
    """Give a file that is about to be replaced another name; at no moment is there none of ``path``, where links are.

    A file system without links has a moment in which ``before`` alone is there.
    """
    link = _partial(before)
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        os.replace(path, before)
        return
    os.replace(link, before)


def _to_disk(file: TextIO | BinaryIO) -> None:
    file.flush()
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.fsync(file.fileno())

"""Files that appear whole: written beside their place, moved there at the end, so that no reader sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def whole_text_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to write, line ends as given. At the end of the block it replaces ``path``.

    If the block raises, or the disk is full, ``path`` stays as it was and nothing is left beside it.
    """
    with _moved(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file
        _to_disk(file)


@contextmanager
def whole_binary_file(path: Path) -> Iterator[BinaryIO]:
    """As ``whole_text_file``, for bytes."""
    with _moved(path) as partial, partial.open("wb") as file:
        yield file
        _to_disk(file)


@contextmanager
def _moved(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.part")  # one name: what a killed process left, the next one overwrites
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(file: TextIO | BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

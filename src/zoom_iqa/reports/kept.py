"""Results of a study's runs in small files that can be committed, and tables that grow: they outlive the runs' folders.

So a study can go on elsewhere, and anyone can draw its intervals again.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoom_iqa.base.atomic_files import whole_binary_file, whole_text_file
from zoom_iqa.base.errors import DataError

_ENDING = ".json.gz"


def kept_file(folder: Path, run: str) -> Path:
    """The file in which a folder keeps the run of this name."""
    return folder / f"{run}{_ENDING}"


def kept_runs(folder: Path) -> dict[str, Path]:
    """The files of a folder by the names of their runs; none where there is no such folder."""
    return {path.name.removesuffix(_ENDING): path for path in sorted(folder.glob(f"*{_ENDING}"))}


def write_kept(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, compressed; equal ones give equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_binary_file(path) as file:
        file.write(gzip.compress(json.dumps(result, separators=(",", ":")).encode(), mtime=0))


def read_kept(path: Path) -> dict[str, Any]:
    """What ``write_kept`` wrote.

    Raises:
        DataError: the file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, str(error)) from None
    return found


def add_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]], *, keys: int) -> None:
    """Write rows to a CSV table, in the place of earlier ones with the same first ``keys`` cells; others stay.

    Rows of one first cell stand together, in the order of their numbers where the second one is a number. A table with
    other columns is another table, and replaced.

    Raises:
        DataError: the table is damaged.
    """
    found = {tuple(row[:keys]): list(row) for row in (*_written_rows(path, head), *rows)}
    first = {key[0]: rank for rank, key in reversed(list(enumerate(found)))}
    ordered = sorted(found, key=lambda key: (first[key[0]], *(int(cell) for cell in key[1:2] if cell.isdecimal())))
    with whole_text_file(path) as file:
        csv.writer(file, lineterminator="\n").writerows([head, *(found[key] for key in ordered)])


def _written_rows(path: Path, head: Sequence[str]) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = [row for row in csv.reader(file) if row]
    if not lines or lines[0] != list(head):
        return []
    for number, row in enumerate(lines[1:], start=2):
        if len(row) != len(head):
            raise _damaged(path, f"row {number} has {len(row)} cells, not {len(head)}")
    return lines[1:]


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path}: damaged ({why}); restore it, as by 'git checkout {path}', or remove it")

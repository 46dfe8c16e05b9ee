"""Results of a study's runs in small files that can be committed, by the runs' names: they outlive the runs' folders.

So a study can go on elsewhere, and anyone can draw its intervals again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoom_iqa.base.atomic_files import whole_binary_file
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
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); restore it, as by 'git checkout {path}', or remove it") from None
    return found

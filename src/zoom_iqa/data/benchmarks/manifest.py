"""Plain manifests for any image set: CSV, JSON lines, or the JSON list that most code for VLM-based IQA reads.

An entry has an image and a score, each under one of its usual names (``IMAGE``, ``SCORE``); optional are ``id`` (the
path otherwise), ``std``, ``reference`` and ``split`` (train, val, test). Anything else is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, json_rows, labels_of
from zoom_iqa.data.text_files import require_columns

IMAGE = ("image", "img_path", "image_path", "path", "file", "filename")
SCORE = ("gt_score", "mos", "score", "rating")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Reads ``labels`` by its suffix: .csv, .jsonl or .json; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """Every entry, in order."""
        return labels_of(self._rows(root / self.labels), self._label)

    def _rows(self, path: Path) -> Iterator[Row]:
        if path.suffix.lower() == ".csv":
            return csv_rows(path, (IMAGE, SCORE))
        if path.suffix.lower() in (".json", ".jsonl"):
            return _json_entries(path)
        raise DataError(f"{path}: a manifest ends in .csv, .jsonl or .json")

    def _label(self, row: Row) -> Label:
        path = row.text(_given(row, IMAGE))
        return Label(
            where=row.where,
            id=row.optional_text("id") or path,
            image=str(PurePosixPath(self.images) / path),
            score=row.number(_given(row, SCORE)),
            std=row.optional_number("std"),
            reference=row.optional_text("reference"),
            split=row.optional_text("split"),
        )


def _json_entries(path: Path) -> Iterator[Row]:
    """Entries of which at least one has an image and a score: one line says so where none does."""
    rows = list(json_rows(path))
    if rows:
        require_columns(str(path), list(dict.fromkeys(key for row in rows for key in row.cells)), (IMAGE, SCORE))
    return iter(rows)


def _given(row: Row, columns: Sequence[str]) -> str:
    """The first of the columns that holds something."""
    for column in columns:
        if row.optional_text(column) is not None:
            return column
    raise DataError(f"none of {', '.join(columns)} is given")

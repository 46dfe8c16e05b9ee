"""Plain manifests for any image set: CSV, JSON lines, or the JSON list that most code for VLM-based IQA reads.

An entry has ``image`` or ``img_path``, and ``gt_score`` or ``mos``; optional are ``id`` (the path otherwise), ``std``,
``reference``, ``split`` (train, val, test) and, ignored, ``conversations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, json_rows, labels_of


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Reads ``labels`` by its suffix: .csv, .jsonl or .json; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """Every entry, in order."""
        return labels_of(self._rows(root / self.labels), self._label)

    def _rows(self, path: Path) -> Iterator[Row]:
        if path.suffix == ".csv":
            return csv_rows(path, ())
        if path.suffix in (".json", ".jsonl"):
            return json_rows(path)
        raise DataError(f"{path}: a manifest ends in .csv, .jsonl or .json")

    def _label(self, row: Row) -> Label:
        path = row.text(_given(row, "image", "img_path"))
        return Label(
            where=row.where,
            id=row.optional_text("id") or path,
            image=str(PurePosixPath(self.images) / path),
            score=row.number(_given(row, "gt_score", "mos")),
            std=row.optional_number("std"),
            reference=row.optional_text("reference"),
            split=row.optional_text("split"),
        )


def _given(row: Row, *columns: str) -> str:
    """The first of the columns that holds something."""
    for column in columns:
        if row.optional_text(column) is not None:
            return column
    raise DataError(f"none of {', '.join(columns)} is given")

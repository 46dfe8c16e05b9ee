"""Plain manifests for any image set: CSV, JSON lines, or the JSON list that most code for VLM-based IQA reads.

An entry has an image and a score, each under one of its usual names (``IMAGE``, ``SCORE``); optional are ``id`` (the
path otherwise), ``std``, ``reference`` and ``split`` (train, val, test). A column ``hint_<name>`` holds numbers, a
property of the image that raters and judges are told. Anything else is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import IMAGE, SCORE, Row, manifest_rows, read_rows

HINT = "hint_"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Reads ``labels`` by its suffix: .csv, .jsonl or .json; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """Every entry, in order."""
        return read_rows(manifest_rows(root / self.labels, (IMAGE, SCORE)), self._label)

    def _label(self, row: Row) -> Label:
        path = row.text(row.given(*IMAGE))
        return Label(
            where=row.where,
            id=row.optional_text("id") or path,
            image=str(PurePosixPath(self.images) / path),
            score=row.number(row.only(*SCORE)),
            std=row.optional_number("std"),
            reference=row.optional_text("reference"),
            split=row.optional_text("split"),
            indicators={
                column.removeprefix(HINT): row.number(column)
                for column in row.cells
                if column.startswith(HINT) and row.optional_text(column) is not None
            },
        )

"""SPAQ (Fang et al., CVPR 2020): the authors' spreadsheet "MOS and Image attribute scores.xlsx", MOS on 0-100.

Its columns of attributes are people's opinions on 0-100 too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, read_rows, xlsx_rows

ATTRIBUTES = ("Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness")


@dataclass(frozen=True, kw_only=True)
class SPAQ:
    """Reads "Image name", "MOS" and attributes; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """11,125 rows, without a published split or standard deviation."""
        return read_rows(xlsx_rows(root / self.labels, ("Image name", "MOS"), sheet=None), self._label)

    def _label(self, row: Row) -> Label:
        name = row.text("Image name")
        given = {column.lower(): row.optional_number(column) for column in ATTRIBUTES}
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{name}",
            score=row.number("MOS"),
            indicators={column: value for column, value in given.items() if value is not None},
        )

"""AGIQA-3K (Li et al., TCSVT 2023): ``data.csv`` of the authors' repository; quality MOS of generated images.

Images made from one prompt share a content although no pristine source exists, so a split keeps the prompt's subject
(its text before the first comma; adjectives and style follow it) in one part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, read_rows


@dataclass(frozen=True, kw_only=True)
class AGIQA3K:
    """Reads name, prompt, mos_quality and std_quality; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """2,982 rows."""
        columns = ("name", "prompt", "mos_quality", "std_quality")
        return read_rows(csv_rows(root / self.labels, columns), self._label)

    def _label(self, row: Row) -> Label:
        name = row.text("name")
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{name}",
            score=row.number("mos_quality"),
            std=row.number("std_quality"),
            subject=row.text("prompt").split(",")[0].strip(),
        )

"""KADID-10k (Lin et al., QoMEX 2019): ``dmos.csv``; despite its name the score is 1-5 with 5 best.

The column called ``var`` holds standard deviations: rows with mean 4.57 and 4.33 say 0.496 and 0.869, and with 30
ratings each only reading them as standard deviations gives whole sums of squares (633 and 586).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, read_rows


@dataclass(frozen=True, kw_only=True)
class KADID10k:
    """Reads dist_img, ref_img, dmos and var; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """10,125 rows: 81 references, 25 distortions, 5 levels."""
        return read_rows(csv_rows(root / self.labels, ("dist_img", "ref_img", "dmos", "var")), self._label)

    def _label(self, row: Row) -> Label:
        name = row.text("dist_img")
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{name}",
            score=row.number("dmos"),
            std=row.number("var"),
            reference=Path(row.text("ref_img")).stem,
        )

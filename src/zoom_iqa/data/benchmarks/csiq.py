"""CSIQ (Larson & Chandler, JEI 2010): sheet ``all_by_image`` of ``csiq.DMOS.xlsx``; DMOS on 0-1, 0 is best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, read_rows, xlsx_rows

# The sheet's name of a distortion -> its folder and the word inside its file names.
FILES_OF_TYPE = {
    "noise": ("awgn", "AWGN"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
    "fnoise": ("fnoise", "fnoise"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}


@dataclass(frozen=True, kw_only=True)
class CSIQ:
    """Reads image, dst_type, dst_lev, dmos_std and dmos; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """866 rows: 30 references, 6 distortions, 4 or 5 levels."""
        columns = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")
        return read_rows(xlsx_rows(root / self.labels, columns, sheet="all_by_image"), self._label)

    def _label(self, row: Row) -> Label:
        distortion = row.text("dst_type").lower()
        if distortion not in FILES_OF_TYPE:
            raise DataError(f"'dst_type' is {distortion!r}, not one of {', '.join(FILES_OF_TYPE)}")
        folder, word = FILES_OF_TYPE[distortion]
        reference = row.text("image")
        name = f"{reference}.{word}.{row.text('dst_lev')}.png"
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{folder}/{name}",
            score=row.number("dmos"),
            std=row.number("dmos_std"),
            reference=reference,
        )

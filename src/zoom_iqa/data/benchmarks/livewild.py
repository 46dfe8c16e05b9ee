"""LIVE In the Wild Image Quality Challenge (Ghadiyaram & Bovik, TIP 2016): three MATLAB files, MOS on 0-100.

The first seven rows are the images on which the raters were trained; they belong to no test and are left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.matlab import Values, read_vectors
from zoom_iqa.data.benchmarks.tables import Row, read_rows

TRAINING_IMAGES = 7


@dataclass(frozen=True, kw_only=True)
class LIVEWild:
    """Reads AllImages, AllMOS and AllStdDev ``_release.mat``; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """1,162 rows: the 1,169 of the files less the raters' training images."""
        folder = root / self.labels
        columns = {name: _vector(folder, f"All{name}_release") for name in ("Images", "MOS", "StdDev")}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"{folder}: the three files differ in length, {lengths}; download them again")
        rows = [
            Row(f"AllMOS_release.mat:{number}", {"image": image, "mos": mos, "std": std})
            for number, (image, mos, std) in enumerate(zip(*columns.values(), strict=True), start=1)
        ]
        return read_rows(rows[TRAINING_IMAGES:], self._label)

    def _label(self, row: Row) -> Label:
        name = row.text("image")
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{name}",
            score=row.number("mos"),
            std=row.number("std"),
        )


def _vector(folder: Path, name: str) -> Values:
    """The one variable of a release file, flattened."""
    path = folder / f"{name}.mat"
    if not os.path.isfile(path):
        raise DataError(f"{path} is missing; it comes with the data set's release")
    variables = read_vectors(path)
    if name not in variables:
        raise DataError(f"{path} has no variable {name}; download it again")
    return variables[name]

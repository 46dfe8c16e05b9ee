"""PIPAL (Gu et al., ECCV 2020): one text file per reference, each line "image,Elo score".

Only the training part has public labels. Its images come in several archives; they are found in ``images`` itself and
in each folder directly below it, so both the unpacked parts and one merged folder are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, read_rows
from zoom_iqa.data.text_files import read_lines


@dataclass(frozen=True, kw_only=True)
class PIPAL:
    """Reads every ``*.txt`` of the labels folder; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """23,200 rows: 200 references with 116 distorted images each."""
        located = self._located(root)

        def label(row: Row) -> Label:
            name = row.text("image")
            return Label(
                where=row.where,
                id=name,
                image=located.get(name, f"{self.images}/{name}"),
                score=row.number("score"),
                reference=name.split("_")[0],
            )

        return read_rows(self._rows(root / self.labels), label)

    def _rows(self, folder: Path) -> Iterator[Row]:
        files = sorted(folder.glob("*.txt"))
        if not files:
            raise DataError(f"{folder} holds no .txt file; unpack the label archive there")
        for file in files:
            for number, line in read_lines(file):
                image, _, score = line.partition(",")
                yield Row(f"{file.name}:{number}", {"image": image, "score": score})

    def _located(self, root: Path) -> dict[str, str]:
        """Path relative to the root of every .bmp file in the images folder and one level below."""
        folder = root / self.images
        located: dict[str, str] = {}
        twice = []
        for file in sorted([*folder.glob("*.bmp"), *folder.glob("*/*.bmp")]):
            path = str(file.relative_to(root))
            if file.name in located:
                twice.append(f"{file.name}: {located[file.name]} and {path}")
            located[file.name] = path
        if twice:
            raise DataError(f"{len(twice)} images lie in two folders; remove one copy", twice)
        return located

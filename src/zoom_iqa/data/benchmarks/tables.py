"""Tables as rows of named cells, from CSV, XLSX, JSON and JSON-lines files; all unreadable rows are listed at once."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.label import Label


@dataclass(frozen=True)
class Row:
    """One row: where it stands (file and line) and its cells by column name."""

    where: str
    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """A cell that must hold something; whole floats read as integers (a spreadsheet's 1600.0 is 1600).

        Raises:
            DataError: the cell is absent or empty.
        """
        value = self.optional_text(column)
        if value is None:
            raise DataError(f"{column!r} is empty")
        return value

    def optional_text(self, column: str) -> str | None:
        """A cell as text, or None where it is absent or empty."""
        value = self.cells.get(column)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip() or None if value is not None else None

    def number(self, column: str) -> float:
        """A cell that must hold a finite number.

        Raises:
            DataError: the cell is empty, not a number, or not finite.
        """
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise DataError(f"{column!r} is {text!r}, not a number") from None
        if not math.isfinite(value):
            raise DataError(f"{column!r} is {text}, not a finite number")
        return value

    def optional_number(self, column: str) -> float | None:
        """A finite number, or None where the cell is absent or empty."""
        return None if self.optional_text(column) is None else self.number(column)


def labels_of(rows: Iterable[Row], label: Callable[[Row], Label]) -> list[Label]:
    """Turn rows into labels; all rows that cannot be read are listed in one error.

    Raises:
        DataError: at least one row is unusable.
    """
    labels, unusable = [], []
    for row in rows:
        try:
            labels.append(label(row))
        except DataError as error:
            unusable.append(f"{row.where}: {error}")
    if unusable:
        raise DataError(f"{len(unusable)} of {len(labels) + len(unusable)} rows cannot be read; correct them", unusable)
    return labels


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of a comma-separated file with a header line (UTF-8, with or without byte-order mark).

    Raises:
        DataError: a column of ``columns`` is missing, or the file is not UTF-8 text.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            table = csv.DictReader(file)
            _require(path, columns, table.fieldnames or ())
            for cells in table:
                yield Row(f"{path.name}:{table.line_num}", cells)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} is not a UTF-8 comma-separated file ({error}); export it again") from None


def xlsx_rows(path: Path, columns: Sequence[str], sheet: str | None) -> Iterator[Row]:
    """Rows of a spreadsheet below the first row that names every column of ``columns``; blank rows are skipped.

    ``sheet`` None means the first one.

    Raises:
        DataError: the file is no spreadsheet, or the sheet or a column is missing.
    """
    from zipfile import BadZipFile

    import openpyxl  # slow to import and needed by two publishers only

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, KeyError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path} is not a readable .xlsx file ({error}); download it again") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise DataError(f"{path} has no sheet {sheet!r}; it has {', '.join(book.sheetnames)}")
        lines = enumerate(book[sheet or book.sheetnames[0]].iter_rows(values_only=True), start=1)
        seen: set[str] = set()
        names: list[str] | None = None
        for number, values in lines:
            if names is None:
                texts = [str(value).strip() if value is not None else "" for value in values]
                seen.update(text for text in texts if text)
                names = texts if set(columns) <= set(texts) else None
            elif any(value is not None for value in values):
                yield Row(f"{path.name}:{number}", dict(zip(names, values, strict=False)))
        if names is None:
            _require(path, columns, sorted(seen)[:20])
            raise DataError(f"{path}: no single row names the columns {', '.join(columns)}; restore its header")
    finally:
        book.close()


def json_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON list (``.json``) or of JSON lines (any other suffix); ``where`` counts from 1.

    Raises:
        DataError: the text is not JSON, or an element is not an object.
    """
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        records = _json(text, str(path))
        if not isinstance(records, list):
            raise DataError(f"{path} holds a {type(records).__name__}, not a list of objects")
        numbered = list(enumerate(records, start=1))
    else:
        lines = enumerate(text.splitlines(), start=1)
        numbered = [(number, _json(line, f"{path.name}:{number}")) for number, line in lines if line.strip()]
    odd = [f"{path.name}:{number}: {record!r:.80}" for number, record in numbered if not isinstance(record, dict)]
    if odd:
        raise DataError(f"{path}: {len(odd)} entries are not JSON objects", odd)
    for number, record in numbered:
        yield Row(f"{path.name}:{number}", record)


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}") from None


def _require(path: Path, columns: Sequence[str], header: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header) or 'no header'}")

"""Tables as rows of named cells, from CSV, XLSX, JSON and JSON-lines files; all unreadable rows are listed at once."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.lfs import LFS_SAID, is_lfs_pointer
from zoom_iqa.data.text_files import Columns, parse_json, read_lines, read_table, read_text, require_columns

Item = TypeVar("Item")

IMAGE = ("image", "img_path", "image_path", "path", "file", "filename")
SCORE = ("gt_score", "mos", "score", "rating")
"""The columns of manifests, under the names that people give them."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DAMAGED_SPREADSHEET = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
)
"""Errors that openpyxl raises on damaged archives and damaged XML inside them."""


@dataclass(frozen=True)
class Row:
    """One row: where it stands (file and line), its cells by column name, and why it cannot be used, if so."""

    where: str
    cells: Mapping[str, object]
    fault: str | None = None

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
        """A cell as text, or None where it is absent or empty.

        Raises:
            DataError: it is neither text nor a number.
        """
        value = self.cells.get(column)
        if isinstance(value, (bool, list, dict)):
            raise DataError(f"{column!r} is {value!r:.80}, neither text nor a number")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip() or None if value is not None else None

    def given(self, *columns: str) -> str:
        """The first of the columns that holds something.

        Raises:
            DataError: none does.
        """
        for column in columns:
            if self.optional_text(column) is not None:
                return column
        raise DataError(f"none of {', '.join(columns)} is given")

    def only(self, *columns: str) -> str:
        """The one of the columns that holds something.

        Raises:
            DataError: none does, or several, which may be on different scales.
        """
        held = [column for column in columns if self.optional_text(column) is not None]
        if len(held) > 1:
            raise DataError(f"{' and '.join(held)} are both given; keep the column that counts")
        return self.given(*columns)

    def number(self, column: str) -> float:
        """A cell that must hold a finite number.

        Raises:
            DataError: the cell is empty, not a number, or not finite.
        """
        text = self.text(column)
        try:
            value = float(text.replace("_", "?"))  # Python takes 4_5 for 45
        except ValueError:
            remedy = "; write it with a decimal point" if "," in text else ""
            raise DataError(f"{column!r} is {text!r:.80}, not a number{remedy}") from None
        if not math.isfinite(value):
            raise DataError(f"{column!r} is {text}, not a finite number")
        return value

    def optional_number(self, column: str) -> float | None:
        """A finite number, or None where the cell is absent or empty."""
        return None if self.optional_text(column) is None else self.number(column)


def read_rows(rows: Iterable[Row], read: Callable[[Row], Item]) -> list[Item]:
    """The results of ``read`` on each row; all rows that cannot be read are listed in one error.

    Raises:
        DataError: at least one row is unusable.
    """
    items, unusable = [], []
    for row in rows:
        try:
            if row.fault is not None:
                raise DataError(row.fault)
            items.append(read(row))
        except DataError as error:
            unusable.append(f"{row.where}: {error}")
    if unusable:
        raise DataError(f"{len(unusable)} of {len(items) + len(unusable)} rows cannot be read; correct them", unusable)
    return items


def manifest_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a manifest by its suffix: a table (.csv), a JSON list (.json) or JSON lines (.jsonl).

    Raises:
        DataError: it has another suffix, cannot be read, or lacks a column.
    """
    if path.suffix.lower() == ".csv":
        return csv_rows(path, columns)
    if path.suffix.lower() in (".json", ".jsonl"):
        rows = list(json_rows(path))
        if rows:  # one line says so where no entry has it
            require_columns(str(path), list(dict.fromkeys(key for row in rows for key in row.cells)), columns)
        return iter(rows)
    raise DataError(f"{path}: a manifest ends in .csv, .jsonl or .json")


def csv_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a text table with a header line; see :func:`~zoom_iqa.data.text_files.read_table`.

    Raises:
        DataError: a column is missing or comes twice, or the file is no text.
    """
    for row in read_table(path, columns):
        yield Row(f"{path.name}:{row.line}", row.cells, row.fault)


def xlsx_rows(path: Path, columns: Sequence[str], sheet: str | None) -> Iterator[Row]:
    """Rows of a spreadsheet below the first row that names every column of ``columns``; blank rows are skipped.

    ``sheet`` None means the first one.

    Raises:
        DataError: the file is no spreadsheet, or the sheet or a column is missing, or a column comes twice.
    """
    try:
        yield from _spreadsheet_rows(path, columns, sheet)
    except _DAMAGED_SPREADSHEET as error:
        raise DataError(f"{path} is not a readable .xlsx file ({error}); download it again") from None


def _spreadsheet_rows(path: Path, columns: Sequence[str], sheet: str | None) -> Iterator[Row]:
    import openpyxl  # slow to import and needed by two publishers only

    if is_lfs_pointer(path):
        raise DataError(f"{path} {LFS_SAID}")
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True)
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
            doubled = [column for column in columns if texts.count(column) > 1]
            if doubled:
                raise DataError(f"{path} has two columns {', '.join(doubled)}; rename or remove one")
        elif any(value is not None for value in values):
            yield Row(f"{path.name}:{number}", dict(zip(names, values, strict=False)))
    if names is None:
        require_columns(str(path), sorted(seen), columns)
        raise DataError(f"{path}: no single row names the columns {', '.join(columns)}; restore its header")


def json_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON list (``.json``) or of JSON lines (any other suffix); ``where`` counts from 1.

    Raises:
        DataError: the text is not JSON, or an element is not an object.
    """
    if path.suffix.lower() == ".json":
        records = _json(read_text(path), str(path))
        if not isinstance(records, list):
            raise DataError(f"{path} holds a {type(records).__name__}, not a list of objects")
        numbered = list(enumerate(records, start=1))
    else:
        numbered = [(number, _json(line, f"{path.name}:{number}")) for number, line in read_lines(path)]
    odd = [f"{path.name}:{number}: {record!r:.80}" for number, record in numbered if not isinstance(record, dict)]
    if odd:
        raise DataError(f"{path}: {len(odd)} entries are not JSON objects", odd)
    for number, record in numbered:
        yield Row(f"{path.name}:{number}", record)


def _json(text: str, where: str) -> object:
    try:
        value = parse_json(text)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if _SURROGATE.search(text) and not _is_whole(value):
        raise DataError(f"{where}: a text holds half a character (a lone \\ud800 to \\udfff); write the whole one")
    return value


def _is_whole(value: object) -> bool:
    """Whether texts can be written in UTF-8: file names and ids must be, what a model wrote need not."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True

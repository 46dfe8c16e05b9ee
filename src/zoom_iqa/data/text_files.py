"""Text from files: the one place where bytes from outside become text, lines, table cells and JSON values.

UTF-8 is read with or without its byte-order mark, UTF-16 with one; any other encoding is refused. A line ends at "\\n"
alone, a "\\r" before it goes with it: U+2028, U+0085, vertical tab and form feed are text.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.lfs import LFS_POINTER, LFS_SAID
from zoom_iqa.base.printable import printable

Columns = Sequence[str | tuple[str, ...]]
"""Names of columns that a table must have; of a tuple, one."""

DELIMITERS = ",;\t"
SHOWN_COLUMNS = 20


@dataclass(frozen=True)
class TableRow:
    """A row below the header: its (last) line from 1, its cells by column, and why it cannot be used, if so."""

    line: int
    cells: dict[str, str]
    fault: str | None


def read_text(path: Path) -> str:
    """The whole file without its byte-order mark.

    Raises:
        DataError: it cannot be read, is a git-lfs pointer, or a byte of it, which is named, is no text.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    mark, encoding = _encoding(content)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = len(mark) + error.start
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: byte {place} (0x{content[place]:02x}, in line {line}) is no {encoding}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        place = len(mark) + len(text[: text.index("\0")].encode(encoding))
        raise DataError(f"{path}: byte {place} is zero, so it is no UTF-8 text; save the file as UTF-8")
    if text.startswith(LFS_POINTER):
        raise DataError(f"{path} {LFS_SAID}")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank.

    Raises:
        DataError: as ``read_text``.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def read_table(path: Path, columns: Columns) -> Iterator[TableRow]:
    """Rows of a table of comma-, semicolon- or tab-separated values; its first line names the columns.

    Which of the three separates is seen from the header. Names are stripped; blank rows are left out.

    Raises:
        DataError: as ``read_text``; lines end as they did long ago, a column is missing or comes twice, or quotes do
            not close.
    """
    text = read_text(path)
    if "\r" in text and "\n" not in text:
        raise DataError(f"{path}: its lines end with a carriage return alone; save it with line feeds")
    lines = [line.removesuffix("\r") + "\n" for line in text.split("\n")]
    header = next((line for line in lines if line.strip()), "")
    delimiter = _delimiter(header, columns)
    rows = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    names: list[str] | None = None
    begun = 1
    try:
        for cells in rows:
            begun = rows.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = [cell.strip() for cell in cells]
                _check_columns(path, names, columns)
                continue
            fault = None
            if len(cells) > len(names):
                fault = f"{len(cells)} cells for {len(names)} columns; quote a cell that holds a {_said(delimiter)}"
            yield TableRow(rows.line_num, dict(zip(names, cells, strict=False)), fault)
    except csv.Error as error:
        raise DataError(f"{path}: line {begun} begins no row of a table ({error}); correct its quotes") from None
    if names is None:
        _check_columns(path, [], columns)


def parse_json(text: str) -> object:
    """A JSON value.

    Raises:
        DataError: it is none, is nested too deep, or an object names a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise DataError("no JSON (nested too deep)") from None
    except ValueError as error:
        raise DataError(f"no JSON ({error})") from None


def require_columns(where: str, names: Sequence[str], columns: Columns) -> None:
    """Pass what has every one of ``columns``.

    Raises:
        DataError: one is missing; the message shows those there.
    """
    missing = [one for one in columns if not _has(names, one)]
    if missing:
        wanted = ", ".join(one if isinstance(one, str) else " or ".join(one) for one in missing)
        shown = [printable(name, limit=80) for name in names if name][:SHOWN_COLUMNS]
        raise DataError(f"{where} has no column {wanted}; it has {', '.join(shown) or 'no header'}")


def _encoding(content: bytes) -> tuple[bytes, str]:
    """The byte-order mark of a file and the encoding it stands for."""
    marks = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16-LE", codecs.BOM_UTF16_BE: "UTF-16-BE"}
    return next(((mark, name) for mark, name in marks.items() if content.startswith(mark)), (b"", "UTF-8"))


def _delimiter(header: str, columns: Columns) -> str:
    """The one by which the header has the columns; else the one it holds most."""

    def names(delimiter: str) -> list[str]:
        try:
            return [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])]
        except csv.Error:
            return []

    fitting = [one for one in DELIMITERS if columns and all(_has(names(one), column) for column in columns)]
    return fitting[0] if fitting else max(DELIMITERS, key=header.count)


def _check_columns(path: Path, names: Sequence[str], columns: Columns) -> None:
    require_columns(str(path), names, columns)
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise DataError(f"{path} has two columns {', '.join(doubled)}; rename or remove one")


def _has(names: Sequence[str], column: str | tuple[str, ...]) -> bool:
    return any(one in names for one in ((column,) if isinstance(column, str) else column))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return value


def _said(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]

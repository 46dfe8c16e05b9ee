"""Vectors of numbers and of texts from MATLAB files of level 5 (MAT-File Format, The MathWorks, chapter 1).

A damaged file is an error here; in SciPy's compiled reader it can end the process.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.lfs import LFS_SAID, is_lfs_pointer

HEADER = 128
LARGEST = 64 * 2**20
"""Bytes of one decompressed variable: a vector of a benchmark has far fewer."""

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_MATRIX, _COMPRESSED = 14, 15
_CELLS, _CHARACTERS, _NUMERIC = 1, 4, range(6, 16)
_COMPLEX = 0x0800

Values = list[float] | list[str]


def read_vectors(path: Path) -> dict[str, Values]:
    """Every variable of a file, flattened: numbers as floats, a cell array as its texts, a text as one.

    Raises:
        DataError: the file is damaged, of another level, or holds something else.
    """
    try:
        if is_lfs_pointer(path):
            raise DataError(f"{path} {LFS_SAID}")
        content = path.read_bytes()
        if (
            len(content) < HEADER
            or content[126:128] not in (b"IM", b"MI")
            or content[124:126] not in (b"\0\1", b"\1\0")
        ):
            raise ValueError("not of level 5")
        order = "<" if content[126:128] == b"IM" else ">"
        variables = {}
        for kind, data in _elements(content[HEADER:], order):
            ((kind, data),) = _elements(_inflated(data), order) if kind == _COMPRESSED else [(kind, data)]
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in place of a variable")
            name, values = _variable(data, order, inner=False)
            variables[name] = values
        return variables
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is not a readable MATLAB file ({error}); download it again") from None


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element of a stretch of bytes."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start, end = place + 8, place + 8 + size + (-size % 8 if kind != _COMPRESSED else 0)
        if kind >> 16:  # small: type and size in four bytes, the content in the other four
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = place + 4, place + 8
        if start + size > min(end, len(data)):
            raise ValueError("an element is cut off")
        yield kind, data[start : start + size]
        place = end


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, LARGEST)
    if not inflater.eof:
        raise ValueError("a compressed variable is cut off or too large")
    return inflated


def _variable(data: bytes, order: str, *, inner: bool) -> tuple[str, Values]:
    """Name and values of a matrix; a cell array must not lie inside another (``inner``)."""
    (_, flags), (_, sizes), (_, name), *parts = _elements(data, order)
    (flag,) = struct.unpack_from(f"{order}I", flags)
    shape = np.frombuffer(sizes, dtype=f"{order}i4").tolist()
    kind = flag & 0xFF
    values: Values
    if kind == _CELLS and not inner:
        cells = [_variable(part, order, inner=True)[1] for _, part in parts]
        values = [str(text) for cell in cells for text in cell]
    elif kind == _CHARACTERS and len(parts) == 1:
        values = [_text(*parts[0], order)]
        shape = [1]
    elif kind in _NUMERIC and not flag & _COMPLEX and len(parts) == 1:
        values = _numbers(*parts[0], order)
    else:
        raise ValueError(f"a variable of class {kind}")
    if len(values) != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{len(values)} values for a size of {shape}")
    return name.decode("ascii"), values


def _numbers(kind: int, data: bytes, order: str) -> list[float]:
    if kind not in _NUMBERS:
        raise ValueError(f"numbers of type {kind}")
    values: list[float] = np.frombuffer(data, dtype=order + _NUMBERS[kind]).astype(np.float64).tolist()
    return values


def _text(kind: int, data: bytes, order: str) -> str:
    if kind not in _TEXTS:
        raise ValueError(f"characters of type {kind}")
    encoding = _TEXTS[kind]
    return data.decode(f"{encoding}-{'le' if order == '<' else 'be'}" if encoding == "utf-16" else encoding)

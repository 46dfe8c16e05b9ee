"""Append-only JSONL files of records: they grow by whole lines, and a line cut off by a crash is dropped.

Several processes write a share each beside the file, which is merged into it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TextIO, TypeVar

from zoom_iqa.base.atomic_files import named_errors, whole_text_file
from zoom_iqa.base.errors import DataError

T = TypeVar("T")


class Codec(Protocol[T]):
    """Turns a record into a line and back."""

    def encode(self, record: T) -> Mapping[str, Any]:
        """JSON-safe fields."""
        ...

    def decode(self, fields: Mapping[str, Any]) -> T:
        """The record; ValueError, TypeError or KeyError if the fields are not one's."""
        ...

    def key(self, record: T) -> Hashable:
        """The identity of a record: of two with one key the first counts."""
        ...


class RecordFile(Generic[T]):
    """A file of records, used as a context manager to append; ``written`` holds what was there when it was opened.

    Raises:
        DataError: a whole line is not a record.
    """

    def __init__(self, path: Path, codec: Codec[T]) -> None:
        self.path = path
        self._codec = codec
        self._file: TextIO | None = None
        self.written: tuple[T, ...] = ()

    def __enter__(self) -> RecordFile[T]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.written = self._recover()
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with named_errors(self.path):
                self._file.close()

    def append(self, records: Iterable[T]) -> None:
        """Write and flush to disk."""
        assert self._file is not None, "open the file with `with`"
        with named_errors(self.path):
            for record in records:
                self._file.write(self._line(record))
            self._file.flush()
            os.fsync(self._file.fileno())

    def read(self) -> tuple[T, ...]:
        """Every record of the file, doubled ones once.

        Raises:
            DataError: a line is not a record, such as one cut off by a crash.
        """
        return self._parse(self.path.read_bytes())

    def write(self, records: Iterable[T]) -> None:
        """Replace the file as a whole: stopped at any moment, either the old one or the new one is there."""
        with whole_text_file(self.path) as file:
            file.writelines(self._line(record) for record in records)

    def share(self, rank: int) -> RecordFile[T]:
        """The file of one process of several that share the work."""
        return RecordFile(self.path.with_name(f"{self.path.stem}-{rank}{self.path.suffix}"), self._codec)

    def merge_shares(self) -> None:
        """Move what the shares hold into the file; stopped at any moment, it can be repeated."""
        with self as file:
            known = {self._codec.key(record) for record in file.written}
            share = re.compile(rf"{re.escape(self.path.stem)}-[0-9]+{re.escape(self.path.suffix)}")
            beside = sorted(self.path.parent.iterdir())
            for path in (path for path in beside if share.fullmatch(path.name)):  # not a copy such as NAME-7b.jsonl
                with RecordFile(path, self._codec) as part:
                    fresh = [record for record in part.written if self._codec.key(record) not in known]
                file.append(fresh)
                known.update(self._codec.key(record) for record in fresh)
                path.unlink()

    def _line(self, record: T) -> str:
        return json.dumps(self._codec.encode(record), ensure_ascii=False, allow_nan=False) + "\n"

    def _recover(self) -> tuple[T, ...]:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return self._parse(whole)

    def _parse(self, raw: bytes) -> tuple[T, ...]:
        records: dict[Hashable, T] = {}
        wrong: list[str] = []
        for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else (), 1):
            try:
                record = self._codec.decode(json.loads(line))
                records.setdefault(self._codec.key(record), record)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                wrong.append(f"line {number}: {error}")
        if wrong:
            raise DataError(f"{self.path} holds lines that are not records; remove them or the file:", wrong)
        return tuple(records.values())

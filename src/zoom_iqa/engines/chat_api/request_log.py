"""Every attempt at a request, a line each, without image bytes and without keys."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.engines.chat_api.budget import Spent


@dataclass(frozen=True, kw_only=True)
class Call:
    """One attempt. ``outcome`` is ``ok`` or the kind of error, ``said`` the error's text; ``model`` who was asked and
    ``answered_by`` who answered; ``body`` is what was sent, with the size of each image in place of it.
    """

    number: int
    time: str
    key: str
    attempt: int
    model: str
    answered_by: str | None
    outcome: str
    said: str | None
    finish: str | None
    input_tokens: int
    output_tokens: int
    seconds: float
    body: Mapping[str, Any]


class _CallCodec:
    def key(self, record: Call) -> Hashable:
        return record.number

    def encode(self, record: Call) -> Mapping[str, Any]:
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> Call:
        return Call(**fields)


class RequestLog:
    """A context manager; its threads may write at any time. ``spent`` is what the file's calls have spent so far."""

    def __init__(self, path: Path) -> None:
        self._file: RecordFile[Call] = RecordFile(path, _CallCodec())
        self._lock = threading.Lock()
        self._next = 0
        self.spent = Spent()

    def __enter__(self) -> RequestLog:
        self._file.__enter__()
        calls = self._file.written
        self._next = max((call.number + 1 for call in calls), default=0)
        self.spent = Spent(
            requests=len(calls),
            input_tokens=sum(call.input_tokens for call in calls),
            output_tokens=sum(call.output_tokens for call in calls),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.__exit__(kind, error, trace)

    def write(self, **fields: Any) -> None:
        """Append a call of the fields of ``Call`` but its number."""
        with self._lock:
            self._file.append([Call(number=self._next, **fields)])
            self._next += 1

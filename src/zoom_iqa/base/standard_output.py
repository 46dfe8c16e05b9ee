"""Standard output as a place for results: it takes names of files in any encoding, and a full disk is one line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoom_iqa.base.errors import OutputError


def take_any_text() -> None:
    """Let standard output write as escapes what its encoding lacks: names of files may hold anything.

    One that is closed takes everything and keeps nothing.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class StandardOutput:
    """``sys.stdout`` as it is when this is made, whatever is put in its place later.

    ``write`` and ``flush`` raise OutputError when the text cannot be written, and BrokenPipeError when nobody reads it.
    """

    def __init__(self) -> None:
        take_any_text()
        self._file = sys.stdout

    def write(self, text: str) -> int:
        """As of a file."""
        with self._told():
            return self._file.write(text)

    def flush(self) -> None:
        """As of a file."""
        with self._told():
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())  # what waits in it would fail again at exit
            raise OutputError(
                f"the output cannot be written: {error.strerror}; make room or write elsewhere"
            ) from error

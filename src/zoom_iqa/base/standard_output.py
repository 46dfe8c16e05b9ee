"""Standard output as a place for results: it takes names of files in any encoding, and a full disk is one line."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from zoom_iqa.base.errors import OutputError


def take_any_text() -> None:
    """Let standard output write as escapes what its encoding lacks: names of files may hold anything.

    One that is closed takes everything and keeps nothing.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def end_if_unread(error: BrokenPipeError) -> NoReturn:
    """End quietly where the output is a pipe whose reader has gone, as `head` goes; else raise ``error``."""
    number = sys.stdout.fileno()
    output = select.poll()
    output.register(number, 0)  # errors are told unasked
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    sys.exit(1)


class StandardOutput:
    """``sys.stdout`` as it is when this is made, whatever is put in its place later.

    ``write`` and ``flush`` raise OutputError when the text cannot be written, from then on each time, as a library may
    pass over it once; and BrokenPipeError when nobody reads it.
    """

    def __init__(self) -> None:
        take_any_text()
        self._file = sys.stdout
        self._lost: OSError | None = None

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
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())  # what waits would fail again at the end
            self._lost = error
        if self._lost is not None:
            said = f"the output cannot be written: {self._lost.strerror}; make room or write elsewhere"
            raise OutputError(said) from self._lost

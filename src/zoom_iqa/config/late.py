"""A command's body is imported after its help; Control-C while it is imported, and a full output, are one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TextIO, cast

from zoom_iqa.base.errors import OutputError
from zoom_iqa.base.standard_output import StandardOutput, end_if_unread
from zoom_iqa.config.help import asks_for_help


@contextmanager
def told_output() -> Iterator[None]:
    """Within the block, which may be a command's, an output that cannot be written ends the process in one line."""
    before = sys.stdout
    output = StandardOutput()
    sys.stdout = cast(TextIO, output)
    try:
        try:
            yield
        except SystemExit as ended:
            if not isinstance(ended.__context__, OutputError):  # which has been told
                output.flush()  # help ends so too
            raise
        output.flush()
    except OutputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError as error:
        end_if_unread(error)
    finally:
        sys.stdout = before


@told_output()
def run_late(body: str, *, help_text: str) -> None:
    """Print the help where it is asked for; else import the module ``body``, which takes seconds, and call its run."""
    if asks_for_help(sys.argv[1:]):
        print(help_text, end="")
        return
    with quiet_interrupt():
        module = import_module(body)
    module.run()


def run_after_help(command: Callable[[], None]) -> None:
    """Run a command whose help was not asked for; errors made on purpose end in one line and status 2."""
    with quiet_interrupt():
        from zoom_iqa.config.commands import run_command  # imports torch
    run_command(command)


@contextmanager
def quiet_interrupt() -> Iterator[None]:
    """Within the block, of imports that have nothing to save, Control-C ends the process in one line."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread alone
        return
    before = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped by SIGINT\n")
    os._exit(128 + number)

"""Text that a terminal is sent, by a pseudo-terminal in place of stderr."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import sys
from collections.abc import Callable

import pytest

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
"""Codes that hide a cursor, and show it again."""


def seen_by_terminal(act: Callable[[], None], patch: pytest.MonkeyPatch) -> str:
    """All that ``act`` writes to stderr, as one colour terminal of 80 columns gets it."""
    patch.delenv("NO_COLOR", raising=False)
    patch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, patch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        act()
    return sent_to(ours)


def sent_to(ours: int) -> str:
    """All that is written to a terminal until nobody has it open; ``ours`` is its other end."""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        while piece := os.read(ours, 1 << 16):
            pieces.append(piece)
    os.close(ours)
    return b"".join(pieces).decode()


def counts_in(text: str) -> list[str]:
    """Every "done/total"."""
    return re.findall(r"\d+/\d+", text)

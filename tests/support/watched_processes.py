"""Whether processes live, as Linux tells it in /proc."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes to hold in this time; waits until it does."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    found = _status_of(pid)
    return found is not None and found[0] != "Z"


def parent_of(pid: int) -> int | None:
    """The process that a process belongs to; None where it is no more."""
    found = _status_of(pid)
    return None if found is None else int(found[1])


def _status_of(pid: int) -> list[str] | None:
    """State, parent and so on; None for a process that is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None

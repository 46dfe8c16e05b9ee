"""The processes of a run on one machine: started by the first, watched by it, and ended with it.

A process that dies is named, and the others end with it: those that wait for it in a collective would wait for long.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

POLL_S = 0.2
NOTICE_S = 3.0
"""How long an error may come before the death of the process that caused it is noticed."""
GRACE_S = 10.0
"""How long a process may take to end by itself after another has died."""
_PARENT = "ZOOM_IQA_PARENT"
_PR_SET_PDEATHSIG = 1
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True)
class Loss:
    """A process of the run that ended badly: what to say of it, and the signal if one had asked it to stop."""

    said: str
    stopped_by: signal.Signals | None


class Children:
    """The other processes of a run on this machine: ranks 1 and up, of one command."""

    def __init__(self, command: Sequence[str], *, count: int) -> None:
        environment = {**os.environ, _PARENT: str(os.getpid())}
        self._processes = [
            subprocess.Popen(command, env={**environment, "LOCAL_RANK": str(local_rank)})
            for local_rank in range(1, count + 1)
        ]
        self._ending = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="children").start()

    def lost(self) -> Loss | None:
        """The first one that ended badly, if any did."""
        for local_rank, process in enumerate(self._processes, 1):
            status = process.poll()
            if status:
                how = f"was killed by {_name(-status)}" if status < 0 else f"ended with status {status}"
                stopped_by = signal.Signals(status - 128) if status - 128 in _STOPPING else None
                return Loss(f"process {local_rank} of this run (pid {process.pid}) {how}; all of them end", stopped_by)
        return None

    def end(self, *, within_s: float) -> None:
        """Give them so long to end by themselves, then kill them."""
        self._ending.set()
        until = time.monotonic() + within_s
        for process in self._processes:
            try:
                process.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        """End this process too when one of them died and it does not notice: a collective may never return."""
        while not self._ending.wait(POLL_S):
            lost = self.lost()
            if lost is not None and not self._ending.wait(GRACE_S):
                print(f"error: {lost.said}", file=sys.stderr, flush=True)
                for process in self._processes:
                    process.kill()
                os._exit(1)


_children: Children | None = None


def start_children(command: Sequence[str], *, count: int) -> None:
    """Start ``count`` more processes of this run, once."""
    global _children
    assert _children is None, "a run starts its processes once"
    _children = Children(command, count=count)


def end_children(*, within_s: float) -> None:
    """End those that were started, if any were."""
    global _children
    if _children is not None:
        _children.end(within_s=within_s)
        _children = None


def lost_child() -> Loss | None:
    """A child that ended badly, after a moment: an error of a collective comes sooner than the exit that caused it."""
    if _children is None:
        return None
    until = time.monotonic() + NOTICE_S
    while (lost := _children.lost()) is None and time.monotonic() < until:
        time.sleep(POLL_S)
    return lost


def follow_parent() -> None:
    """Die with the process that started this one for its run: ``start_children``, torchrun. Others are left alone."""
    started_by = os.environ.get(_PARENT)
    if started_by is not None or "TORCHELASTIC_RUN_ID" in os.environ:
        die_with_parent(int(started_by) if started_by is not None else os.getppid())


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when ``parent`` dies, where it can (Linux); at once if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

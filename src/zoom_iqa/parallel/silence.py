"""A process of a run that has fallen silent is noticed by the others, and ended: else they would wait for it for long.

Every process says each second that it is there, from a thread of its own, and the first process answers. The thread is
silent only when the whole process is: stopped (SIGSTOP, a frozen container), on a machine that is gone, or stuck in
code that never lets go of the interpreter. Steps of training do not count, because a long step, an evaluation and a
slow disk are no fault, and no limit would be both above all of them and soon. A main thread that waits for ever is
noticed where it waits: an engine and a server have limits of their own, where it waits for another process that one
is silent, and the rest, such as a disk that does not answer, is left to the time-out of collectives.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoom_iqa.parallel.processes import from_first, rank, world_size

BEAT_S = 1.0
LISTEN_S = 0.2
GRACE_S = 10.0
"""Seconds in which whoever started the processes of a machine may end them, and say why, before they end themselves."""
_START_TIME = 19
"""Place of a process's start time in /proc/PID/stat, behind the parenthesis that closes its name."""


@dataclass(frozen=True)
class Process:
    """One process: its rank, its machine with the numbering of processes there, its number and when it began."""

    rank: int
    machine: str
    pid: int
    born: str

    @staticmethod
    def this() -> Process:
        """The one that calls."""
        return Process(rank(), _machine(), os.getpid(), born(os.getpid()))

    def end(self) -> bool:
        """Kill it, if it is on this machine and still the same; whether it is on this machine."""
        if self.machine != _machine():
            return False
        if born(self.pid) == self.born:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return True


class Watch(threading.Thread):
    """Of the first process over all that it has heard of, and of the others over the first.

    ``others`` are told by datagrams to ``address``, on which the first listens with ``listening``; those without the
    run's ``word`` are not of this run.
    """

    def __init__(
        self, *, word: str, silent_after_s: float, address: tuple[str, int] | None, listening: socket.socket | None
    ) -> None:
        super().__init__(daemon=True, name="silence")
        self._word, self._silent_after_s, self._this = word, silent_after_s, Process.this()
        self._first = address
        self._socket = listening or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(LISTEN_S)
        self._heard: dict[Process, float] = {}
        self._addresses: set[Any] = set() if address is None else {address}
        self._left = threading.Event()

    def run(self) -> None:
        """Say, listen and look, until this process leaves."""
        said = looked = time.monotonic()
        while not self._left.is_set():
            if self._first is not None and time.monotonic() - said >= BEAT_S:
                said = time.monotonic()
                self._say("here", self._first)
            self._listen()
            now = time.monotonic()
            if now - looked > self._silent_after_s / 2:  # this process was away itself, and heard nobody
                self._heard = dict.fromkeys(self._heard, now)
            looked = now
            for process, heard in list(self._heard.items()):
                if now - heard > self._silent_after_s:
                    del self._heard[process]
                    self._end(process)

    def leave(self, *, done: bool) -> None:
        """Watch no more; only one that is ``done`` tells the others, so that they miss one that has failed."""
        self._left.set()
        self.join()
        for address in self._addresses if done else ():
            self._say("bye", address)
        self._socket.close()

    def _listen(self) -> None:
        """Take what has come, at least one word or the time of waiting for one."""
        while True:
            try:
                raw, address = self._socket.recvfrom(4096)
            except TimeoutError:
                return
            except ConnectionError:  # nobody is there any more to hear what was said
                time.sleep(LISTEN_S)
                return
            said = _read(raw)
            if said.pop("word", None) != self._word:
                continue
            kind, process = said.pop("kind"), Process(**said)
            if kind == "bye":
                self._heard.pop(process, None)
                continue
            self._heard[process] = time.monotonic()
            if self._first is None:
                self._addresses.add(address)
                self._say("here", address)
            return

    def _say(self, kind: str, address: Any) -> None:
        try:
            self._socket.sendto(json.dumps({"word": self._word, "kind": kind, **self._this.__dict__}).encode(), address)
        except OSError as error:  # of the network; a machine that stays away is silent
            print(f"warning: processes of this run cannot hear of one another: {error}", file=sys.stderr, flush=True)

    def _end(self, process: Process) -> None:
        here = process.end()
        print(
            f"error: process {process.rank} of this run (pid {process.pid}) has been silent for "
            f"{self._silent_after_s:g} s (machine.silent_after_s); all of them end",
            file=sys.stderr,
            flush=True,
        )
        # srun, unlike torchrun, leaves the others alone, and a collective of NCCL waits for a dead one
        if not here or not self._left.wait(GRACE_S):
            os._exit(1)


_watch: Watch | None = None


def watch_for_silence(silent_after_s: float) -> None:
    """Begin, once for all processes of the run; every process must call it when they have joined."""
    global _watch
    if world_size() == 1 or _watch is not None:
        return
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) if rank() == 0 else None
    if listening is not None:
        listening.bind(("", 0))
    word, port = from_first(lambda: (uuid.uuid4().hex, listening.getsockname()[1] if listening else 0))
    address = None if listening is not None else (os.environ.get("MASTER_ADDR", "127.0.0.1"), int(port))
    _watch = Watch(word=word, silent_after_s=silent_after_s, address=address, listening=listening)
    _watch.start()


def leave_watch(*, done: bool) -> None:
    """End the watch before this process ends: with its work ``done``, or by an error that others may not share."""
    global _watch
    if _watch is not None:
        _watch.leave(done=done)
        _watch = None


def born(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if it is no more, or the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_START_TIME]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _read(raw: bytes) -> dict[str, Any]:
    """What a datagram says; nothing, if it is none of a run's."""
    try:
        said = json.loads(raw)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _machine() -> str:
    numbering = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{os.stat(numbering).st_ino if numbering.exists() else 0}"

"""One run a folder: a lock that names its holder, and that the kernel gives back however its holder ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoom_iqa.base.errors import ConfigError

WAIT_S = 10.0
"""Time that the last processes of a run that was killed may take to end."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` within the block; it is gone afterwards. What a dead process left is taken over.

    Across machines it holds as far as their file system shares locks (NFS 4, Lustre with flock, GPFS).

    Raises:
        ConfigError: another process holds it; the message names it.
    """
    descriptor = _acquire(path)
    try:
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.write(descriptor, json.dumps(holder).encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who waits for it would look at the wrong file
        os.close(descriptor)


def require_free(path: Path) -> None:
    """Pass where nobody holds the lock file ``path``; nothing is written.

    Raises:
        ConfigError: a process holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)  # over NFS an exclusive lock needs a file that may be written
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY)
    except (OSError, ValueError):
        return  # there is none
    try:
        _lock(descriptor, path)
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path)
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it in the meantime


def _lock(descriptor: int, path: Path) -> None:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            said, dead = _holder(path)
            if not dead or time.monotonic() > until:
                raise ConfigError(
                    f"{path.parent} is in use by {said}; wait for it, or choose another folder"
                ) from error
            time.sleep(0.1)
        except OSError as error:  # a file system without locks
            said, dead = _holder(path)
            if dead:
                return
            raise ConfigError(
                f"{path.parent} may be in use by {said}, and its file system keeps no locks ({error.strerror}); if no "
                f"run goes on there, remove {path}"
            ) from error


def _holder(path: Path) -> tuple[str, bool]:
    """A text about the process that the file names, and whether it is known to be dead."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        host, pid, since = str(found["host"]), int(found["pid"]), str(found["since"])
    except (OSError, ValueError, TypeError, KeyError):
        return "another process", not path.exists() or path.stat().st_size == 0
    return f"process {pid} on {host}, since {since}", host == socket.gethostname() and not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there, here = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)

"""One process at a time: who holds the lock is named, and a dead process holds nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoom_iqa.base import lock
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.lock import locked, require_free

HOLD = """
import os, sys, time
from pathlib import Path
from zoom_iqa.base.lock import locked
with locked(Path(sys.argv[1])):
    if {fork} and os.fork() == 0:
        time.sleep(3)  # as a loader's worker that outlives its parent for a moment
        os._exit(0)
    print("held", flush=True)
    time.sleep(600)
"""


def holder(path: Path, *, fork: bool = False) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(fork=fork), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_it_is_there_within_the_block_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    require_free(path)
    for _ in range(2):
        with locked(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert not path.exists()


@pytest.mark.parametrize("check", [require_free, lambda path: locked(path).__enter__()], ids=["asked", "taken"])
def test_another_process_that_holds_it_is_named_in_one_line(check: object, tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    process = holder(path)
    with pytest.raises(ConfigError) as refused:
        check(path)  # type: ignore[operator]
    said = str(refused.value)
    assert said.startswith(f"{tmp_path} is in use by process {process.pid} on {socket.gethostname()}, since 20")
    assert said.endswith("; wait for it, or choose another folder")
    assert "\n" not in said
    process.kill()
    process.wait()
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_what_a_dead_process_left_is_taken_over_once_its_children_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    process = holder(path, fork=True)
    process.kill()
    process.wait()
    assert path.exists()
    begun = time.monotonic()
    with locked(path):
        assert time.monotonic() - begun < lock.WAIT_S


def test_a_damaged_file_of_nobody_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_bytes(b"\xff{")
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def no_locks(descriptor: int, how: int) -> None:
    raise OSError(37, "No locks available")


def test_without_locks_of_the_file_system_the_process_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    path = tmp_path / "run.lock"
    with locked(path), pytest.raises(ConfigError, match=rf"may be in use by process {os.getpid()} .* remove {path}"):
        require_free(path)
    dead = subprocess.Popen(["true"])
    dead.wait()
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": dead.pid, "since": "then"}))
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    path.write_text(json.dumps({"host": "elsewhere", "pid": dead.pid, "since": "then"}))
    with pytest.raises(ConfigError, match=f"process {dead.pid} on elsewhere, since then"):
        require_free(path)


def test_a_lock_of_another_machine_that_died_is_no_hindrance_over_nfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There flock is a lock of fcntl, which needs a file that was opened to be written."""
    flock = fcntl.flock

    def of_nfs(descriptor: int, how: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, how)

    monkeypatch.setattr(lock.fcntl, "flock", of_nfs)
    path = tmp_path / "run.lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "then"}))
    require_free(path)
    assert path.exists()

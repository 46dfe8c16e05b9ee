"""The watch over silence: datagrams of others are ignored, a watch that was away counts anew, and the dead are left."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from zoom_iqa.parallel import silence
from zoom_iqa.parallel.silence import Process, Watch, born


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """The watch of a first process, with what it ends in ``ended``."""
    monkeypatch.setattr(silence, "BEAT_S", 0.02)
    monkeypatch.setattr(silence, "LISTEN_S", 0.02)
    ended: list[Process] = []
    monkeypatch.setattr(Process, "end", lambda self: ended.append(self) or True)
    exits: list[int] = []
    monkeypatch.setattr(silence, "GRACE_S", 0.1)
    monkeypatch.setattr(os, "_exit", exits.append)
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    watch = Watch(word="ours", silent_after_s=0.4, address=None, listening=listening)
    setattr(watch, "ended", ended)  # noqa: B010
    setattr(watch, "exits", exits)  # noqa: B010
    watch.start()
    yield watch
    if watch.is_alive():
        watch.leave(done=True)


def another(first: Watch, word: str, *, pid: int) -> Watch:
    address: tuple[str, int] = first._socket.getsockname()
    watch = Watch(word=word, silent_after_s=0.4, address=address, listening=None)
    watch._this = dataclasses.replace(Process.this(), rank=1, pid=pid)
    return watch


def ended(watch: Watch) -> list[Process]:
    return getattr(watch, "ended")  # noqa: B009


def test_one_that_says_goodbye_is_missed_by_nobody_and_one_that_does_not_is(first: Watch) -> None:
    there, gone = another(first, "ours", pid=1001), another(first, "ours", pid=1002)
    there.start()
    gone.start()
    time.sleep(0.2)
    assert len(first._heard) == 2
    gone._left.set()  # without a word
    gone.join()
    time.sleep(0.9)
    assert [process.pid for process in ended(first)] == [1002]
    assert getattr(first, "exits") == [1], "nobody has ended this process, so it ends itself"  # noqa: B009
    there.leave(done=True)
    time.sleep(0.6)
    assert [process.pid for process in ended(first)] == [1002]
    assert first._heard == {}


def test_words_of_other_runs_and_noise_are_not_heard(first: Watch) -> None:
    stranger = another(first, "theirs", pid=1003)
    stranger.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for raw in (b"\xff", b"[]", b"{}", b'"ours"'):
            noise.sendto(raw, first._socket.getsockname())
    time.sleep(0.2)
    assert first.is_alive()
    assert first._heard == {}
    stranger.leave(done=True)


def test_one_that_leaves_by_an_error_is_missed(first: Watch) -> None:
    failed = another(first, "ours", pid=1005)
    failed.start()
    time.sleep(0.1)
    failed.leave(done=False)
    time.sleep(0.9)
    assert [process.pid for process in ended(first)] == [1005]


def test_one_that_is_ended_in_the_time_of_grace_does_not_end_itself(
    first: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "GRACE_S", 60.0)
    failed = another(first, "ours", pid=1006)
    failed.start()
    time.sleep(0.1)
    failed.leave(done=False)
    time.sleep(0.9)
    first.leave(done=True)
    assert [process.pid for process in ended(first)] == [1006]
    assert getattr(first, "exits") == []  # noqa: B009


def test_a_watch_that_was_away_itself_counts_anew(first: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    there = another(first, "ours", pid=1004)
    there.start()
    time.sleep(0.1)
    there._left.set()
    there.join()
    listen = first._listen
    monkeypatch.setattr(first, "_listen", lambda: time.sleep(1.0))  # as if it had been stopped
    time.sleep(0.1)
    monkeypatch.setattr(first, "_listen", listen)
    time.sleep(1.1)
    assert ended(first) == []
    time.sleep(0.7)
    assert [process.pid for process in ended(first)] == [1004]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_very_process_is_killed_and_no_other_of_its_number() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    this = Process.this()
    other = Process(1, this.machine, child.pid, "another time")
    assert other.end()
    assert child.poll() is None
    assert not dataclasses.replace(other, machine="elsewhere").end()
    os.kill(child.pid, signal.SIGSTOP)
    assert dataclasses.replace(other, born=born(child.pid)).end()
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert dataclasses.replace(other, born="").end()  # it is no more

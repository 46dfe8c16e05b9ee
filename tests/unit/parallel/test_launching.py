"""Processes that were started for a run end with it, and one that dies is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.watched_processes import alive, within
from zoom_iqa.parallel import launching
from zoom_iqa.parallel.launching import Children, end_children, lost_child, start_children

PARENT = """
import subprocess, sys, time
from zoom_iqa.parallel.launching import start_children
start_children([sys.executable, "-c", {child!r}], count=1)
time.sleep(600)
"""
FOLLOWER = "import os, time; from zoom_iqa.parallel.launching import follow_parent; follow_parent(); {then}"


def test_each_knows_its_number(tmp_path: Path) -> None:
    code = f"import os; open(os.path.join({str(tmp_path)!r}, os.environ['LOCAL_RANK']), 'w')"
    Children([sys.executable, "-c", code], count=2).end(within_s=60)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("import sys; sys.exit(3)", "ended with status 3"),
    ],
)
def test_one_that_dies_is_named(code: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "NOTICE_S", 60.0)
    start_children([sys.executable, "-c", code], count=1)
    lost = lost_child()
    end_children(within_s=0)
    assert lost is not None
    assert lost.said.startswith("process 1 of this run (pid ")
    assert said in lost.said
    assert lost.stopped_by is None


def test_one_that_was_asked_to_stop_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "NOTICE_S", 60.0)
    start_children([sys.executable, "-c", "import sys; sys.exit(143)"], count=1)
    lost = lost_child()
    end_children(within_s=0)
    assert lost is not None
    assert lost.stopped_by == signal.SIGTERM


def test_they_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "NOTICE_S", 0.0)
    code = f"import os, time; open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w'); time.sleep(600)"
    start_children([sys.executable, "-c", code], count=2)
    assert within(60, lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert all(alive(pid) for pid in pids)
    assert lost_child() is None
    end_children(within_s=0)
    assert not any(alive(pid) for pid in pids)
    end_children(within_s=0)  # nothing is left to end


def test_a_process_that_waits_for_a_dead_one_is_ended_too() -> None:
    """As one does in a collective over GPUs, which never returns."""
    code = PARENT.format(child="import os; os.kill(os.getpid(), 9)").replace(
        "start_children(", "import zoom_iqa.parallel.launching as l; l.GRACE_S = 0.1; start_children(", 1
    )
    code = code.replace("import zoom_iqa", "\nimport zoom_iqa", 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "was killed by SIGKILL; all of them end" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
@pytest.mark.parametrize("moment", ["at work", "while it begins"])
def test_they_die_with_a_parent_that_is_killed(tmp_path: Path, moment: str) -> None:
    marker, late = tmp_path / "pid", tmp_path / "late"
    note = f"open({str(marker)!r}, 'w').write(str(os.getpid()))"
    child = FOLLOWER.format(then=f"{note}; time.sleep(600)")
    if moment == "while it begins":
        begin = f"import os, time; {note}; time.sleep(2); "
        child = begin + FOLLOWER.format(then=f"open({str(late)!r}, 'w')")
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(child=child)])
    assert within(120, lambda: marker.exists() and marker.read_text() != "")
    pid = int(marker.read_text())
    parent.kill()
    parent.wait()
    assert within(60, lambda: not alive(pid))
    assert not late.exists()


def test_a_command_of_its_own_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "die_with_parent", lambda parent: pytest.fail("it follows"))
    monkeypatch.delenv("ZOOM_IQA_PARENT", raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    launching.follow_parent()
    followed: list[int] = []
    monkeypatch.setattr(launching, "die_with_parent", followed.append)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    launching.follow_parent()
    assert followed == [os.getppid()]

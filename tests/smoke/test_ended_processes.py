"""Two processes of one run: asked to stop, both do at one step; when one dies, the other ends and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from support.small_run import SETTINGS, rows, save_policy
from support.watched_processes import alive, parent_of, within

TESTS = Path(__file__).resolve().parents[1]
TWO = ["trainer=ddp", "trainer.devices=2", "sft.steps=5000"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def started(run: Path, *settings: str) -> subprocess.Popen[str]:
    policy = save_policy(run.parent)
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "zoom_iqa.train", *SETTINGS, *TWO, f"policy.path={policy}"]
    command += [f"paths.run_dir={run}", *settings]
    return subprocess.Popen(command, cwd=run.parent, env=environment, stderr=subprocess.PIPE, text=True)


def child_of(process: subprocess.Popen[str]) -> int:
    (pid,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return pid


def steps_logged(run: Path) -> int:
    return len(rows(run, "sft")) if (run / "logs" / "sft" / "metrics.csv").exists() else 0


def at_work(process: subprocess.Popen[str], run: Path, after: int = 0) -> None:
    assert within(300, lambda: steps_logged(run) > after or process.poll() is not None)
    assert process.poll() is None, process.stderr and process.stderr.read()


def test_asked_in_one_both_stop_and_one_that_dies_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(run)
    at_work(process, run)
    os.kill(child_of(process), signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143
    line = said.splitlines()[-1]
    assert line.startswith("stopped by SIGTERM; to go on: python -m zoom_iqa.train ")
    assert line.endswith(f" paths.run_dir={run}")
    state = torch.load(run / "checkpoints" / "sft" / "last.ckpt", weights_only=True)
    done = steps_logged(run)
    assert state["global_step"] == done

    process = started(run)
    at_work(process, run, after=done)
    child = child_of(process)
    os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    line = said.splitlines()[-1]
    assert line.startswith(
        f"error: process 1 of this run (pid {child}) was killed by SIGKILL; all of them end; to go on: "
    )


@pytest.mark.parametrize("at_fault", [0, 1])
def test_an_error_in_one_ends_both(at_fault: int, tmp_path: Path) -> None:
    """The other waits in a collective; its process is gone within a minute, and none is left."""
    run = tmp_path / "run"
    process = started(run, "+callbacks.fault._target_=support.fault_at.FaultAt", f"+callbacks.fault.rank={at_fault}")
    at_work(process, run)
    child, begin = child_of(process), time.monotonic()
    (run / "now").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert "a fault on purpose" in said
    assert within(60 - (time.monotonic() - begin), lambda: not alive(child))


def test_none_outlives_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(run, "machine.workers=1")
    at_work(process, run)
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    family = {process.pid}
    for _ in range(3):
        family |= {pid for pid in pids if parent_of(pid) in family}
    assert len(family) == 4  # two processes with a worker each
    process.kill()
    process.wait()
    assert within(3, lambda: not any(alive(pid) for pid in family))

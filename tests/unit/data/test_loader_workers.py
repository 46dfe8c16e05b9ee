"""Processes that load images: what is said when one dies, that they serve a step that signals interrupt, and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from support.watched_processes import alive, within
from zoom_iqa.base.errors import ProcessError, StoppedError
from zoom_iqa.data.collation import as_list, single_thread_worker, worker_losses
from zoom_iqa.parallel.stopping import stepping, stoppable

NOTHING_OF_IT = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")


class Signals(Dataset[int]):
    """Each sample is the process that made it, which has just been sent a signal."""

    def __init__(self, number: signal.Signals, at: int) -> None:
        self._number, self._at = number, at

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == self._at:
            os.kill(os.getpid(), self._number)
        return os.getpid()


def loaded(number: signal.Signals, *, at: int = 1) -> list[list[int]]:
    loader = DataLoader(
        Signals(number, at), num_workers=1, collate_fn=as_list, worker_init_fn=single_thread_worker, batch_size=1
    )
    return list(loader)


def test_one_that_is_killed_is_one_line() -> None:
    said = r"a process that loads images \(pid \d+\) .*start again with fewer, machine.workers=1"
    with pytest.raises(ProcessError, match=said), worker_losses():
        loaded(signal.SIGKILL)


def test_another_error_is_none_of_its_business() -> None:
    with pytest.raises(RuntimeError, match="other"), worker_losses():
        raise RuntimeError("other")


def test_one_that_died_of_the_signal_that_stops_the_run_stops_it() -> None:
    def run() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        loaded(signal.SIGKILL)

    with pytest.raises(StoppedError), stoppable(), stepping(), worker_losses():
        run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_all_processes_leave_it_at_work(number: signal.Signals) -> None:
    (pids,) = {tuple(pid for batch in loaded(number) for pid in batch)}
    assert len(set(pids)) == 1
    assert len(pids) == 4
    assert pids[0] != os.getpid()


@NOTHING_OF_IT
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = f"""
import os, time
from torch.utils.data import DataLoader
from zoom_iqa.data.collation import as_list, single_thread_worker
class Slow:
    def __len__(self): return 2
    def __getitem__(self, index):
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(600)
list(DataLoader(Slow(), num_workers=1, collate_fn=as_list, worker_init_fn=single_thread_worker))
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    marker = tmp_path / "pid"
    assert within(120, lambda: marker.exists() and marker.read_text() != "")
    child = int(marker.read_text())
    parent.kill()
    parent.wait()
    assert within(3, lambda: not alive(child))  # torch's own watch takes five seconds and more

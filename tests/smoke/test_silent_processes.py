"""Two processes of one run: one that is stopped ends both soon, whichever it is, and one that is slow ends none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from support.changed_steps import before_batch, in_process
from support.forked_runs import ended, forked_pair
from zoom_iqa.training.grpo import GRPOModule

SILENT_AFTER_S = 2.0
TWO = ("trainer=ddp", "trainer.devices=2", f"machine.silent_after_s={SILENT_AFTER_S}")


def slow_then_stopped(rank: int, since: Path) -> Callable[[], object]:
    """A change to GRPO in one process: its second step takes longer than the limit, in the third it is stopped."""

    def stop() -> None:
        since.write_text(str(time.monotonic()))
        os.kill(os.getpid(), signal.SIGSTOP)

    slow = before_batch(GRPOModule, 1, in_process(rank, lambda: time.sleep(2 * SILENT_AFTER_S)))
    stopped = before_batch(GRPOModule, 2, in_process(rank, stop))
    return lambda: (slow(), stopped())


@pytest.mark.parametrize("stopped", [0, 1])
def test_one_that_is_slow_ends_none_and_one_that_is_stopped_both(stopped: int, policy: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", [tmp_path / f"said{rank}" for rank in (0, 1)]
    since, other = tmp_path / "since", 1 - stopped
    pids = forked_pair(run, policy, *TWO, first=slow_then_stopped(stopped, since), said=said)
    assert ended(pids[other]) == 2
    assert ended(pids[stopped]) == -signal.SIGKILL
    assert time.monotonic() - float(since.read_text()) < SILENT_AFTER_S + 20
    text = said[other].read_text()
    line = (
        f"error: process {stopped} of this run (pid {pids[stopped]}) has been silent for 2 s (machine.silent_after_s)"
    )
    assert line in text
    assert "Traceback" not in text
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 2

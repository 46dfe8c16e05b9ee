"""Runs ended at random moments, by signals that can be handled and by one that cannot, end as one that was left alone.

The runs are forks of this process, which spares each the import of torch.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from support.forked_runs import ended, forked
from support.small_run import assert_same_end, save_policy

SETTINGS = ("machine.workers=1", "resampling=progressive", "sft.checkpoint_every=3", "callbacks=validation")
SETTINGS += ("callbacks.validation.every=2", "data.val.size=3")
KILLS = 5
LATEST_S = 4.0
"""After so many seconds at most a run is killed; left alone it takes about as long."""


def test_random_moments(tmp_path: Path) -> None:
    policy = save_policy(tmp_path)
    finished, run = tmp_path / "finished", tmp_path / "run"
    assert ended(forked(finished, policy, *SETTINGS)) == 0
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for _ in range(KILLS):
        number = draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        pid = forked(run, policy, *SETTINGS)
        time.sleep(draw.uniform(0.1, LATEST_S))
        os.kill(pid, number)
        status = ended(pid)
        print(f"{number.name}: {status}")
        assert status in (0, -signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert ended(forked(run, policy, *SETTINGS)) == 0
    assert_same_end(run, finished)
    assert not [path for path in run.rglob("*") if path.name.startswith(".") or path.name == "last.ckpt"]


def test_a_second_control_c_keeps_what_was_saved(tmp_path: Path) -> None:
    policy = save_policy(tmp_path)
    run = tmp_path / "run"
    pid = forked(run, policy, *SETTINGS)
    logged = run / "logs" / "sft" / "metrics.csv"
    while not logged.exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run ended before its first step"
        time.sleep(0.01)
    for _ in range(2):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.05)
    assert ended(pid) == 130
    assert ended(forked(run, policy, *SETTINGS)) == 0

"""Runs ended at random moments, by signals that can be handled and by one that cannot, end as one that was left alone.

``make test-kill`` does so a hundred times, with every kind of run.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from support.forked_runs import ended, forked
from support.killing import EVERY, KINDS, Killing
from support.small_run import save_policy


@pytest.mark.parametrize(("kind", "kills"), [("alone", 4), ("chain", 2), ("fsdp", 2)])
def test_random_moments(kind: str, kills: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    killing = Killing(KINDS[kind], save_policy(tmp_path), tmp_path / kind, random.Random(seed))
    for _ in range(kills):
        killing.kill()
    killing.finish()
    print(killing.counts)


def test_a_second_control_c_keeps_what_was_saved(tmp_path: Path) -> None:
    policy = save_policy(tmp_path)
    run = tmp_path / "run"
    pid = forked(run, policy, *EVERY)
    logged = run / "logs" / "sft" / "metrics.csv"
    while not logged.exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run ended before its first step"
        time.sleep(0.01)
    for _ in range(2):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.05)
    assert ended(pid) == 130
    assert ended(forked(run, policy, *EVERY)) == 0

"""Runs whose rollouts vLLM draws, killed at random moments: gone on with they come to the native engine's policy."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from support.served import rollout_server
from support.vllm_runs import CACHE_TOKENS, IN_VLLM, ROWS, assert_same_policy, behind, start
from zoom_iqa.policy.policy import Policy

KILLS = 3
ENDS_WITHIN_S = 600.0


def finished(run_dir: Path, *settings: str) -> float:
    """Seconds that the run took to its end."""
    begin = time.monotonic()
    process = start(run_dir, *settings)
    _, said = process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 0, said
    return time.monotonic() - begin


def killed_and_finished(folder: Path, *settings: str) -> Path:
    """A run that was killed ``KILLS`` times within the time that one takes which is left alone."""
    draw = random.Random(0)
    takes_s = finished(folder / "left_alone", *settings)
    for number in range(KILLS):
        process = start(folder / "killed", *settings)
        time.sleep(draw.uniform(0.3, 1.0) * takes_s)  # the first third starts up
        sent = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        process.send_signal(sent)
        _, said = process.communicate(timeout=ENDS_WITHIN_S)
        assert process.returncode in (0, -sent, 128 + sent), said
    finished(folder / "killed", *settings)
    return folder / "killed"


@pytest.fixture(scope="module")
def native(shipped: Policy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("native") / "run"
    finished(run_dir)
    return run_dir


def test_a_run_with_an_engine_of_its_own(shipped: Policy, native: Path, tmp_path: Path) -> None:
    assert_same_policy(killed_and_finished(tmp_path, *IN_VLLM, "grpo.checkpoint_every=1"), native, shipped)


def test_a_run_that_asks_a_server(shipped: Policy, native: Path, tmp_path: Path) -> None:
    with rollout_server(tmp_path / "server.log", f"rollout.cache_tokens={CACHE_TOKENS}", f"rollout.rows={ROWS}") as url:
        run = killed_and_finished(tmp_path, *behind(url), "grpo.checkpoint_every=1")
    assert_same_policy(run, native, shipped)

"""The main program in two processes under DeepSpeed's ZeRO: what one process learns, and how runs go on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from support.placed_ends import assert_judged_once, assert_learned_alike, assert_left_whole, run_alone
from support.placed_runs import GOES_ON, THREE_STEPS, TWO, Asked, run_in_two
from support.small_run import assert_same_end

pytestmark = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
TRAINERS = ["deepspeed_zero2", "deepspeed_zero3"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """The folder of runs of two processes; one is stopped and gone on with."""
    folder = tmp_path_factory.mktemp("runs")
    asked = []
    for name in TRAINERS:
        asked.append(Asked(name, [*THREE_STEPS, *TWO, f"trainer={name}"]))
        goes_on = [*GOES_ON, f"trainer={name}", "sft.steps=1", "grpo.steps=2"]
        asked.append(Asked(f"whole {name}", goes_on))
        asked += [Asked(f"stopped {name}", goes_on, stop_at) for stop_at in ("grpo:1", None)]
    run_in_two(folder, policy, asked)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """The run of one process with batches as large as both have."""
    return run_alone(tmp_path_factory.mktemp("alone") / "run", policy)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(
    trainer: str, runs: Path, alone: Path, policy: Path
) -> None:
    assert_learned_alike(runs / trainer, alone, policy)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_images_are_judged_once_and_one_whole_policy_is_left(trainer: str, runs: Path, alone: Path) -> None:
    assert_judged_once(runs / trainer, alone)
    assert_left_whole(runs / trainer)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_stopped_run_ends_as_one_that_was_not(trainer: str, runs: Path) -> None:
    assert_same_end(runs / f"stopped {trainer}", runs / f"whole {trainer}")

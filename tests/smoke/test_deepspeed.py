"""The main program in two processes under DeepSpeed's ZeRO: what one process learns, and how runs go on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from support.placed_runs import GOES_ON, THREE_STEPS, TWO, Asked, distance, run_in_two
from support.small_run import answers_of, assert_same_end, metrics_of, save_policy, small_run, weights_of

pytestmark = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
TRAINERS = ["deepspeed_zero2", "deepspeed_zero3"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


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
    folder = tmp_path_factory.mktemp("alone") / "run"
    small_run(folder, policy, *THREE_STEPS, "sft.data.batch_size=2", "grpo.data.batch_size=2")
    return folder


@pytest.mark.parametrize("trainer", TRAINERS)
def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(
    trainer: str, runs: Path, alone: Path, policy: Path
) -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(policy)
    before = {f"model.{name}": value for name, value in model.state_dict().items()}
    nothing = {name: torch.zeros_like(value) for name, value in before.items()}
    for stage in ("sft", "grpo"):
        found, expected = weights_of(runs / trainer, stage), weights_of(alone, stage)
        assert found.keys() == expected.keys()
        moved, apart = distance(before, expected), distance(found, expected)
        print(f"{trainer} {stage}: {apart / distance(nothing, expected):.1e} of the weights, {apart / moved:.1e} moved")
        assert moved > 0.01
        assert apart < 1e-5 * distance(nothing, expected)
        assert apart < 1e-3 * moved
        before = expected


@pytest.mark.parametrize("trainer", TRAINERS)
def test_images_are_judged_once_and_one_whole_policy_is_left(trainer: str, runs: Path, alone: Path) -> None:
    run = runs / trainer
    assert [metrics_of(run)[stage]["n"] for stage in ("sft", "grpo")] == [5, 5]
    for stage in ("sft", "grpo"):
        assert [one["id"] for one in answers_of(run, stage)] == [one["id"] for one in answers_of(alone, stage)]
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(run / "policy")
    trained = weights_of(run, "grpo")
    assert all(torch.equal(value, trained[f"model.{name}"]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_stopped_run_ends_as_one_that_was_not(trainer: str, runs: Path) -> None:
    assert_same_end(runs / f"stopped {trainer}", runs / f"whole {trainer}")

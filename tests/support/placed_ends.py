"""What runs of two processes come to, beside that of one process with batches as large as both have."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from support.placed_runs import THREE_STEPS, distance
from support.small_run import answers_of, metrics_of, small_run, weights_of

STAGES = ("sft", "grpo")


def run_alone(folder: Path, policy: Path) -> Path:
    """The three steps of each stage in one process."""
    small_run(folder, policy, *THREE_STEPS, "sft.data.batch_size=2", "grpo.data.batch_size=2")
    return folder


def assert_learned_alike(run: Path, alone: Path, policy: Path) -> None:
    """The weights after each stage: 1e-5 of them apart, and 1e-3 of the way that the stage moved them."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(policy)
    before = {f"model.{name}": value for name, value in model.state_dict().items()}
    nothing = {name: torch.zeros_like(value) for name, value in before.items()}
    for stage in STAGES:
        found, expected = weights_of(run, stage), weights_of(alone, stage)
        assert found.keys() == expected.keys()
        moved, apart = distance(before, expected), distance(found, expected)
        print(f"{run.name} {stage}: {apart / distance(nothing, expected):.1e} of all, {apart / moved:.1e} of the way")
        assert moved > 0.01
        assert apart < 1e-5 * distance(nothing, expected)
        assert apart < 1e-3 * moved
        before = expected


def assert_judged_once(run: Path, alone: Path) -> None:
    """Every image is answered once, in the order of one process."""
    assert [metrics_of(run)[stage]["n"] for stage in STAGES] == [5, 5]
    for stage in STAGES:
        assert [one["id"] for one in answers_of(run, stage)] == [one["id"] for one in answers_of(alone, stage)]


def assert_left_whole(run: Path) -> None:
    """The policy that is left has the weights of the last stage."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(run / "policy")
    trained = weights_of(run, "grpo")
    assert all(torch.equal(value, trained[f"model.{name}"]) for name, value in model.state_dict().items())

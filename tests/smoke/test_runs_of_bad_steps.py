"""A run whose reward or loss comes to NaN ends with its last good state, and goes on after the images it failed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from support.random_policy import build_random_policy
from support.small_run import save_policy, small_run
from zoom_iqa.base.errors import TrainingError

BROKEN = {
    "sft": (
        "sft.module.loss.numeric_weight=3e38",
        "the loss is not finite",
    ),  # times a token's loss too large for float32
    "grpo": (
        "+reward.broken={_target_: support.broken_rewards.NotFiniteFor, weight: 1.0, ids: null}",
        "reward.broken is not finite",
    ),
}


def bad_steps(run: Path, stage: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "logs" / stage / "bad_steps.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", BROKEN)
def test_nothing_that_is_not_finite_reaches_a_checkpoint(stage: str, tmp_path: Path) -> None:
    policy, run = save_policy(tmp_path), tmp_path / "run"
    fault, reason = BROKEN[stage]
    settings = [f"stages=[{stage}]", f"{stage}.module.max_bad_steps=2", f"{stage}.checkpoint_every=100", fault]
    with pytest.raises(TrainingError, match=f"2 steps in a row .* step 1, {reason}: embedded:"):
        small_run(run, policy, *settings)
    found = bad_steps(run, stage)
    assert [step["step"] for step in found] == [0, 1]
    assert all(len(step["ids"]) == 2 and step["reasons"] == [reason] for step in found)
    kept = torch.load(run / "checkpoints" / stage / "last.ckpt", weights_only=False)["state_dict"]
    start = build_random_policy().model.state_dict()
    assert all(torch.equal(kept[f"model.{name}"], value) for name, value in start.items())
    with pytest.raises(TrainingError, match="step 3, "):  # the same command goes on with the images after these
        small_run(run, policy, *settings)
    assert [step["step"] for step in bad_steps(run, stage)] == [0, 1, 2, 3]


def test_rollouts_that_are_bad_in_part_end_a_run_too(tmp_path: Path) -> None:
    """One of two updates of each rollout is left out, so that half of what is paid for would be lost to the end."""
    policy, run = save_policy(tmp_path), tmp_path / "run"
    fault = "+reward.broken={_target_: support.broken_rewards.NotFiniteForFirst, weight: 1.0}"
    settings = ["stages=[grpo]", "grpo.module.max_bad_steps=2", "grpo.module.update.mini_batches=2", fault]
    with pytest.raises(TrainingError, match=r"2 steps in a row were not finite, the last at step 1, reward\.broken is"):
        small_run(run, policy, *settings)
    assert [(step["step"], len(step["ids"])) for step in bad_steps(run, "grpo")] == [(0, 1), (1, 1)]

"""A run whose reward comes to NaN ends with its last good state, and goes on after the images it failed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from support.random_policy import build_random_policy
from support.small_run import save_policy, small_run
from zoom_iqa.base.errors import TrainingError

BROKEN = "+reward.broken={_target_: support.broken_rewards.NotFiniteFor, weight: 1.0, ids: null}"


def bad_steps(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "logs" / "grpo" / "bad_steps.jsonl").read_text().splitlines()]


def test_nothing_that_is_not_finite_reaches_a_checkpoint(tmp_path: Path) -> None:
    policy, run = save_policy(tmp_path), tmp_path / "run"
    settings = ["stages=[grpo]", "grpo.module.max_bad_steps=2", "grpo.checkpoint_every=100", BROKEN]
    with pytest.raises(TrainingError, match=r"2 steps in a row .* step 1, reward\.broken is not finite: embedded:"):
        small_run(run, policy, *settings)
    found = bad_steps(run)
    assert [step["step"] for step in found] == [0, 1]
    assert all(len(step["ids"]) == 2 and step["reasons"] == ["reward.broken is not finite"] for step in found)
    kept = torch.load(run / "checkpoints" / "grpo" / "last.ckpt", weights_only=False)["state_dict"]
    start = build_random_policy().model.state_dict()
    assert all(torch.equal(kept[f"model.{name}"], value) for name, value in start.items())
    with pytest.raises(TrainingError, match="step 3, "):  # the same command goes on with the images after these
        small_run(run, policy, *settings)
    assert [step["step"] for step in bad_steps(run)] == [0, 1, 2, 3]

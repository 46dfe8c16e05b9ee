"""A whole training run in a second: written answers, a policy of 0.1 M parameters, a handful of pictures."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from support.random_policy import build_random_policy
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.training_run import train
from zoom_iqa.parallel.pieces import put_together
from zoom_iqa.training.checkpoints import load_checkpoint

SETTINGS = [
    "machine.workers=0",
    "data.train.size=12",
    "data.test.size=4",
    "sft.steps=4",
    "sft.accumulate=2",
    "sft.data.batch_size=1",
    "sft.checkpoint_every=2",
    "grpo.steps=4",
    "grpo.data.batch_size=2",
    "grpo.checkpoint_every=2",
    "grpo.module.group_size=3",
    "grpo.module.freeze_vision_tower=true",
    "rollout=transformers",
    "rollout._target_=support.written_engine.WrittenEngine",
    "max_new_tokens=200",
    "machine.evaluation_batch_size=2",
]


def save_policy(folder: Path) -> Path:
    """Where the policy of a run comes from: a folder in transformers' layout."""
    path = folder / "policy0"
    if not path.exists():
        build_random_policy().save(path)
    return path


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def small_run(run_dir: Path, policy: Path, *overrides: str) -> float | None:
    cfg = composed(*SETTINGS, f"policy.path={policy}", f"paths.run_dir={run_dir}", *overrides)
    return train(cfg, run_dir)


def metrics_of(run_dir: Path) -> dict[str, dict[str, Any]]:
    return json.loads((run_dir / "metrics.json").read_text())


def weights_of(run_dir: Path, stage: str) -> dict[str, torch.Tensor]:
    """Whole ones, also of a checkpoint in pieces."""
    found: dict[str, torch.Tensor] = put_together(load_checkpoint(run_dir / "checkpoints" / stage / "done.ckpt"))[
        "state_dict"
    ]
    return found


def answers_of(run_dir: Path, stage: str) -> list[dict[str, Any]]:
    """Predictions without the time they took."""
    lines = (run_dir / "evaluation" / stage / "predictions.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


COSTS = ("seconds/", "speed/", "memory/")


def rows(run_dir: Path, stage: str) -> list[dict[str, str]]:
    """What a stage has logged, a row a step, but for what the step took of this machine."""
    with (run_dir / "logs" / stage / "metrics.csv").open(newline="") as file:
        return [{key: row[key] for key in row if not key.startswith(COSTS)} for row in csv.DictReader(file)]


def records_of(run_dir: Path, stage: str) -> list[str]:
    """The kept rollouts of a stage as they were written, of which only the time they took differs between runs."""
    path = run_dir / "logs" / stage / "rollouts.jsonl"
    return (
        [re.sub(r'"seconds": ?[0-9.e-]+', "", line) for line in path.read_text().splitlines()] if path.exists() else []
    )


def assert_same_end(run: Path, finished: Path) -> None:
    """Both runs have come to the same weights, answers, figures, records and logs, to the last bit."""
    for stage in ("sft", "grpo"):
        assert records_of(run, stage) == records_of(finished, stage)
        found, expected = weights_of(run, stage), weights_of(finished, stage)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert answers_of(run, stage) == answers_of(finished, stage)
        assert rows(run, stage) == rows(finished, stage)
    assert metrics_of(run) == metrics_of(finished)

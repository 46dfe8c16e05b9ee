"""Five GRPO steps of a tiny run, number by number: rollouts, rewards, losses, gradients and ratings must not drift.

Everything random follows from seeds, so the trace depends on the code alone; the tolerance is for other processors.
After a change made on purpose: ``python -m pytest tests/golden --update-golden``.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from support.small_run import answers_of, save_policy, small_run

KEPT = Path(__file__).parent / "trace.json"
SHOWN = (
    "policy/loss",
    "policy/grad_norm",
    "policy/ratio_max",
    "kl_coverage/kl",
    "kl_coverage/selected",
    "reward/total",
    "reward/format",
    "reward/score",
    "reward/rank",
    "reward/group_std",
    "rollout/rating",
    "rollout/crop_rate",
    "rollout/entropy",
    "lr",
)


def trace(folder: Path) -> dict[str, Any]:
    """The figures of five steps of two updates each, and the ratings given after them."""
    run = folder / "run"
    settings = ["stages=[grpo]", "grpo.steps=5", "grpo.module.update.epochs=2", "resampling=progressive"]
    settings += ["grpo.module.optimizer.lr=2e-4", "penalties.kl_coverage.fraction=0.2"]
    small_run(run, save_policy(folder), *settings)
    with (run / "logs" / "grpo" / "metrics.csv").open(newline="") as file:
        steps = [{name: float(row[name]) for name in SHOWN} for row in csv.DictReader(file)]
    return {"steps": steps, "ratings": [answer["rating"] for answer in answers_of(run, "grpo")]}


def test_five_steps(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    found = trace(tmp_path)
    if pytestconfig.getoption("--update-golden"):
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert len(found["steps"]) == 5
    for number, (now, before) in enumerate(zip(found["steps"], kept["steps"], strict=True)):
        assert now == pytest.approx(before, rel=2e-3, abs=1e-5), f"step {number}"
    assert found["ratings"] == pytest.approx(kept["ratings"])


def test_the_kept_trace_learns_something() -> None:
    """A trace of zeros would hold whatever the code does."""
    steps = json.loads(KEPT.read_text(encoding="utf-8"))["steps"]
    assert all(step["policy/grad_norm"] > 0 and step["reward/group_std"] > 0 for step in steps)
    assert len({step["policy/loss"] for step in steps}) == 5
    assert any(step["policy/ratio_max"] > 1.1 for step in steps)
    assert any(step["kl_coverage/kl"] > 1e-4 for step in steps)

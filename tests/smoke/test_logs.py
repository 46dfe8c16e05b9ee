"""A run that is killed and continued, as Weights & Biases and TensorBoard have it: every step once, and its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.changed_steps import acting_before, killed
from support.small_run import metrics_of, save_policy, small_run
from support.wandb_files import config, history, records, run_files
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.grpo import GRPOModule
from zoom_iqa.training.stage_logs import StageLogs

LOGGERS = ["logger=[csv,wandb,tensorboard]", "logger.wandb.tags=[t]", "seed=4", "grpo.module.recorder.every=2"]


@pytest.fixture
def killed_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Killed in the fourth rollout, whose checkpoint is that of the second."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    policy, run = save_policy(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(GRPOModule, "training_step", acting_before(GRPOModule.training_step, 3, killed))
        with pytest.raises(RuntimeError, match="killed"):
            small_run(run, policy, *LOGGERS)
    small_run(run, policy, *LOGGERS)
    return run


def test_artifacts_that_a_stop_kept_back_are_handed_over_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []
    monkeypatch.setattr(StageLogs, "keeps", lambda self, kind: True)
    monkeypatch.setattr(StageLogs, "keep", lambda self, kind, path: handed.append(kind))
    policy, run = save_policy(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Policy, "save", lambda *_, **__: killed())  # its figures are written by then
        with pytest.raises(RuntimeError, match="killed"):
            small_run(run, policy)
    assert metrics_of(run)["grpo"]
    assert handed == []
    closed = StageLogs.__exit__

    def cut_off(self: StageLogs, kind: Any, error: Any, trace: Any) -> None:
        closed(self, kind, error, trace)
        if handed:
            killed()  # while they are sent

    with monkeypatch.context() as patched:
        patched.setattr(StageLogs, "__exit__", cut_off)
        with pytest.raises(RuntimeError, match="killed"):
            small_run(run, policy)
    assert handed == ["policy", "report"]
    for _ in range(2):
        small_run(run, policy)
        assert handed == ["policy", "report"] * 2


def test_a_killed_run_is_logged_as_if_it_never_was(killed_and_continued: Path) -> None:
    run = killed_and_continued
    sft, before, after = [path for stage in ("sft", "grpo") for path in run_files(run / "logs" / stage)]
    rows = [row for path in (before, after) for row in history(path)]
    assert [row["rollout_step"] for row in rows if "reward/total" in row] == [0, 1, 2, 3]
    assert [row["optimizer_step"] for row in history(sft) if "sft/nll" in row] == [0, 1, 2, 3]
    assert all(row["seconds/rollout"] > 0 and row["memory/peak"] > 0 for row in rows if "reward/total" in row)
    (end,) = [row for row in rows if "eval/embedded/srcc" in row]
    assert end["rollout_step"] == 4
    assert end["eval/embedded/plcc"] == pytest.approx(metrics_of(run)["grpo"]["plcc"])
    shown = [row["rollout_step"] for row in rows if "trajectories/training/nrows" in row]
    assert shown == [0, 2]  # every second rollout

    (started, *_) = records(before, "run")
    assert (started.display_name, started.run_group, sorted(started.tags)) == (
        "train-seed4-grpo",
        "train",
        ["grpo", "t"],
    )
    kept = config(after)
    assert (kept["seed"], kept["grpo"]["steps"]) == (4, 4)
    assert set(kept["origin"]["datasets"]) == {"sft", "grpo", "evaluation"}
    artifacts = {artifact.type: artifact for artifact in records(after, "artifact")}
    assert {"policy", "report"} <= set(artifacts)
    assert "model.safetensors" in {entry.path for entry in artifacts["policy"].manifest.contents}
    assert json.loads((run / "origin.json").read_text())["datasets"].keys() == {"sft", "grpo", "evaluation"}
    assert (run / "report.html").stat().st_size > 1_000_000

    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(run / "logs" / "grpo" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("reward/total")] == [0, 1, 2, 3]
    assert [event.step for event in events.Scalars("eval/embedded/srcc")] == [4]

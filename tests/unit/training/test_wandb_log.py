"""Weights & Biases without a network: a run for each stage, its own name, and an id that a continued one keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wandb

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.training.wandb_log import WandbLog, WandbLogRecipe


class Run:
    """Stands for a run at the service."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.logged: list[dict[str, float]] = []
        self.ended: int | None = None

    def log(self, figures: dict[str, float]) -> None:
        self.logged.append(figures)

    def finish(self, exit_code: int) -> None:
        self.ended = exit_code


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    made: list[Run] = []

    def init(**settings: Any) -> Run:
        assert all(run.ended is not None for run in made), "the run before has not ended"
        made.append(Run(**settings))
        return made[-1]

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "run", None)
    return made


def logger(run_dir: Path, stage: str) -> WandbLog:
    return WandbLog(save_dir=str(run_dir / "logs" / stage), project="p", name="study", offline=False)


def test_every_stage_has_a_run_of_its_own(runs: list[Run], tmp_path: Path) -> None:
    for stage in ("sft", "grpo"):
        log = logger(tmp_path, stage)
        log.log_metrics({"val/koniq/srcc": 0.5}, step=7)
        log.finalize("success")
    assert [run.settings["name"] for run in runs] == ["study-sft", "study-grpo"]
    assert {run.settings["group"] for run in runs} == {"study"}
    assert runs[0].settings["id"] != runs[1].settings["id"]
    assert [run.logged for run in runs] == [[{"val/koniq/srcc": 0.5, "trainer/global_step": 7}]] * 2
    assert [run.ended for run in runs] == [0, 0]


def test_a_continued_stage_goes_on_in_its_run(runs: list[Run], tmp_path: Path) -> None:
    for status in ("failed", "success"):
        log = logger(tmp_path, "grpo")
        log.log_metrics({"a": 1.0}, step=0)
        log.finalize(status)
    assert runs[0].settings["id"] == runs[1].settings["id"]
    assert runs[1].settings["resume"] == "allow"
    assert [run.ended for run in runs] == [1, 0]


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Nobody is logged in; what each attempt to log in was made with."""
    attempts: list[dict[str, Any]] = []

    def login(**settings: Any) -> bool:
        attempts.append(settings)
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "login", login)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return attempts


def test_a_missing_login_shows_before_anything_is_made(logins: list[dict[str, Any]]) -> None:
    with pytest.raises(
        ConfigError, match=r"^logger.wandb: nobody is logged in; run `wandb login`, or set WANDB_MODE=off"
    ):
        WandbLogRecipe(project="p", name="study", offline=False)
    assert len(logins) == 1


@pytest.mark.parametrize("how", ["offline", "disabled", "setting"])
def test_what_sends_nothing_needs_no_login(
    how: str, logins: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "setting":
        monkeypatch.setenv("WANDB_MODE", how)
    WandbLogRecipe(project="p", name="study", offline=how == "setting")
    assert not logins


def test_settings_make_the_log_of_a_stage(runs: list[Run], tmp_path: Path) -> None:
    log = WandbLogRecipe(project="p", name="study", offline=True)(save_dir=str(tmp_path / "logs" / "sft"))
    log.log_metrics({"a": 1.0}, step=0)
    assert runs[0].settings["name"] == "study-sft"

"""Weights & Biases without a network: what is written down for the service is read back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import wandb
from PIL import Image

from support.made_run_folder import answer
from support.wandb_files import config, history, records, run_files
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.training.stage_logs import ShownTrajectory, StageFacts
from zoom_iqa.training.wandb_log import WandbLog, WandbLogRecipe

CONFIG = {"name": "study", "seed": 3, "grpo": {"steps": 4}}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for everything W&B keeps."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_DISABLE_WEAVE", raising=False)
    monkeypatch.setitem(sys.modules, "openai", ModuleType("openai"))  # a judge is asked in the same process
    return tmp_path


def recipe(**settings: Any) -> WandbLogRecipe:
    defaults: dict[str, Any] = {
        "project": "p",
        "entity": None,
        "name": "study-seed3",
        "group": None,
        "tags": ["mine"],
        "offline": False,
        "artifacts": ["report"],
    }
    return WandbLogRecipe(**{**defaults, **settings})


def log_of(folder: Path, **settings: Any) -> WandbLog:
    origin = {"command": "python -m zoom_iqa.train seed=3", "packages": {"torch": "2.13.0"}}
    facts = StageFacts(
        folder=folder / "logs" / "grpo",
        stage="grpo",
        axis="rollout_step",
        group="sweeps/study",
        config=CONFIG,
        origin=origin,
    )
    return recipe(**settings)(facts=facts)


def rows(path: Path) -> list[dict[str, Any]]:
    """Logged rows without what W&B adds."""
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in history(path)]


def test_a_run_says_whose_it_is_and_a_continued_one_logs_no_step_twice(
    offline: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = log_of(offline)
    for step in range(4):
        first.log_metrics({"reward/total": step / 4}, step=step)
    first.log_metrics({"val/koniq/srcc": 0.5}, step=3)
    first.finalize("failed")  # Lightning's word for the end of its own part
    first.close(failed=True)
    again = log_of(offline)
    for step in range(2, 6):  # from the checkpoint on
        again.log_metrics({"reward/total": step / 4}, step=step)
    again.log_metrics({"val/koniq/srcc": 0.25}, step=5)
    again.close(failed=False)

    before, after = run_files(offline)
    assert rows(before) == [
        *({"reward/total": step / 4, "rollout_step": step} for step in range(4)),
        {"val/koniq/srcc": 0.5, "rollout_step": 3},
    ]
    assert rows(after) == [
        *({"reward/total": step / 4, "rollout_step": step} for step in (4, 5)),
        {"val/koniq/srcc": 0.25, "rollout_step": 5},
    ]
    assert [row["_step"] for path in (before, after) for row in history(path)] == list(range(8))
    ((run, *_), (continued, *_)) = (records(path, "run") for path in (before, after))
    assert run.run_id == continued.run_id
    assert (run.display_name, run.run_group, run.job_type) == ("study-seed3-grpo", "sweeps/study", "grpo")
    assert (run.project, sorted(run.tags)) == ("p", ["grpo", "mine"])
    kept = config(before)
    assert {key: kept[key] for key in CONFIG} == CONFIG
    assert kept["origin"]["command"] == "python -m zoom_iqa.train seed=3"
    defined = {metric.name: metric for metric in records(before, "metric")}
    assert defined["reward/total"].step_metric == defined["val/koniq/srcc"].step_metric == "rollout_step"
    assert defined["val/koniq/srcc"].summary.max
    assert not defined["reward/total"].summary.max
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2  # one line a run
    assert said[0].startswith("wandb: study-seed3-grpo stays on this machine; send it by `wandb sync ")
    assert (before.parent).samefile(said[0].partition("`wandb sync ")[2].rstrip("`"))


def test_trajectories_are_a_table_and_pictures_with_boxes(offline: Path) -> None:
    log = log_of(offline)
    record = answer("a", 3.0, 2.0, 2.5, box=(4, 2, 12, 10), text="<b>", rewards={"total": 1.5, "score": 0.25})
    shown = [ShownTrajectory(record=record, image=Image.new("RGB", (16, 12)))]
    log.log_trajectories("training", shown, step=10)
    page = offline / "report.html"
    page.write_text("<html>")
    log.log_files("report", page)
    log.close(failed=False)
    log = log_of(offline)
    log.log_trajectories("training", shown, step=10)  # made again: it is there already
    log.log_metrics({"a": 1.0}, step=11)
    log.close(failed=False)

    first, again = run_files(offline)
    files = first.parent / "files" / "media"
    (table,) = files.rglob("*.table.json")
    found = json.loads(table.read_text())
    assert found["columns"] == [
        *("picture", "id", "mos", "rating", "turns", "ending", "reward total", "reward score", "text")
    ]
    assert found["data"][0][1:] == ["a", 3.0, 2.5, 2, "final", 1.5, 0.25, "<b> 0\n\n<b> 1"]
    (boxes,) = files.rglob("*.boxes2D.json")
    (box,) = json.loads(boxes.read_text())["box_data"]
    assert box["position"] == {"minX": 4, "minY": 2, "maxX": 12, "maxY": 10}
    assert (box["domain"], box["box_caption"]) == ("pixel", "look 1")
    artifacts = {artifact.type: artifact for artifact in records(first, "artifact")}
    assert [entry.path for entry in artifacts["report"].manifest.contents] == ["report.html"]
    assert rows(again) == [{"a": 1.0, "rollout_step": 11}]


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that knows no key; returns where one may be written."""
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    settings = wandb.Settings(base_url="https://wandb.example")
    monkeypatch.setattr(wandb, "setup", lambda: type("Setup", (), {"settings": settings}))
    return tmp_path / "netrc"


def test_without_a_key_nothing_is_sent_and_with_one_it_is(no_key: Path) -> None:
    assert recipe().mode == "offline"
    no_key.write_text("machine elsewhere login user password k\n")
    assert recipe().mode == "offline"
    no_key.write_text("machine wandb.example login user password k\n")
    assert recipe().mode == "online"
    assert recipe(offline=True).mode == "offline"


@pytest.mark.parametrize("mode", ["offline", "disabled", "online"])
def test_the_environment_decides_before_a_key(mode: str, no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_key.write_text("machine wandb.example login user password k\n")
    monkeypatch.setenv("WANDB_MODE", mode)
    assert recipe().mode == mode


def test_sending_without_a_key_is_refused_at_once(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ConfigError, match=r"^logger.wandb: WANDB_MODE=online, and nobody is logged in; run `wandb lo"):
        recipe()


def test_an_unknown_artifact_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"logger.wandb.artifacts=weights: choose from policy, report"):
        recipe(artifacts=["weights"])

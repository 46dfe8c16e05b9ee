"""A stage's figures as CSV: columns that come late, and a run that goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from zoom_iqa.training.csv_log import CSVLog
from zoom_iqa.training.stage_logs import StageFacts


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log_in(folder: Path) -> CSVLog:
    return CSVLog(facts=StageFacts(folder=folder, stage="sft", axis="optimizer_step", group="g"))


def test_every_row_is_on_disk_at_once(tmp_path: Path) -> None:
    log = log_in(tmp_path / "logs")
    log.log_metrics({"loss": 0.5, "epoch": 0}, step=0)
    assert rows(tmp_path / "logs") == [{"step": "0", "loss": "0.5"}]
    log.log_metrics({"loss": 0.25}, step=1)
    assert rows(tmp_path / "logs")[1] == {"step": "1", "loss": "0.25"}


def test_a_column_may_come_late_or_stay_away(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.log_metrics({"loss": 0.5}, step=0)
    log.log_metrics({"loss": 0.5, "kl": 0.1}, step=1)
    log.log_metrics({"loss": 0.5}, step=2)
    assert [row["kl"] for row in rows(tmp_path)] == ["", "0.1", ""]


def test_a_continued_run_keeps_the_rows_before_its_first_step_and_replaces_the_others(tmp_path: Path) -> None:
    first = log_in(tmp_path)
    for step in range(5):
        first.log_metrics({"loss": float(step)}, step=step)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("5")  # killed while it wrote
    again = log_in(tmp_path)
    for step in range(3, 6):
        again.log_metrics({"loss": float(10 * step)}, step=step)
    assert [row["loss"] for row in rows(tmp_path)] == ["0.0", "1.0", "2.0", "30.0", "40.0", "50.0"]


def test_figures_of_one_step_share_its_row(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.log_metrics({"val/d/srcc": 0.5}, step=0)
    log.log_metrics({"loss": 1.0}, step=0)
    log.log_metrics({"loss": 2.0}, step=1)
    log.log_metrics({"val/d/srcc": 0.75}, step=1)
    log.log_metrics({"loss": 3.0}, step=2)
    assert rows(tmp_path) == [
        {"step": "0", "val/d/srcc": "0.5", "loss": "1.0"},
        {"step": "1", "val/d/srcc": "0.75", "loss": "2.0"},
        {"step": "2", "val/d/srcc": "", "loss": "3.0"},
    ]


def test_a_figure_that_comes_after_its_row_leaves_the_rows_before_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_in(tmp_path)
    log.log_metrics({"loss": 0.0, "lost": 0.0}, step=0)
    monkeypatch.setattr(CSVLog, "_rewrite", lambda self, rows: pytest.fail("the file was written anew"))
    for step in (1, 2):
        log.log_metrics({"loss": float(step)}, step=step)
        log.log_metrics({"lost": 2.0}, step=step)
    assert [(row["loss"], row["lost"]) for row in rows(tmp_path)] == [("0.0", "0.0"), ("1.0", "2.0"), ("2.0", "2.0")]


def test_a_continued_run_adds_a_validation_that_was_cut_off_to_its_step(tmp_path: Path) -> None:
    first = log_in(tmp_path)
    for step in (0, 1):
        first.log_metrics({"loss": float(step)}, step=step)
    again = log_in(tmp_path)
    again.log_metrics({"val/d/srcc": 0.5}, step=1)
    again.log_metrics({"loss": 2.0}, step=2)
    assert rows(tmp_path) == [
        {"step": "0", "loss": "0.0", "val/d/srcc": ""},
        {"step": "1", "loss": "1.0", "val/d/srcc": "0.5"},
        {"step": "2", "loss": "2.0", "val/d/srcc": ""},
    ]

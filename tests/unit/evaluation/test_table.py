"""The closing table of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoom_iqa.evaluation.table import print_table


def test_a_row_a_stage_and_the_folder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    good = {
        "plcc": 0.81234,
        "srcc": 0.7,
        "unique_score_ratio": 0.5,
        "unique_mos_ratio": 0.75,
        "format_rate": 1.0,
        "crop_rate": 0.25,
        "mean_reward": 2.5,
        "n": 340,
    }
    none = {**good, "plcc": "undefined (constant predictions)", "mean_reward": None}
    print_table({"sft": none, "grpo": good}, Path("runs/a very long name that a narrow terminal would break" * 3))
    lines = capsys.readouterr().out.splitlines()
    cells = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in lines
        if line.startswith("│")
    }
    assert cells["grpo"] == ["0.812", "0.700", "0.500", "0.750", "1.000", "0.250", "2.500", "340"]
    assert cells["sft"] == ["undefined", "0.700", "0.500", "0.750", "1.000", "0.250", "-", "340"]
    assert lines[-1] == "run folder: " + "runs/a very long name that a narrow terminal would break" * 3

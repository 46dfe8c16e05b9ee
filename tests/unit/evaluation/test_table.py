"""The closing table of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoom_iqa.evaluation.table import (
    CHOSEN,
    COLUMNS,
    COMPARED,
    EVIDENCE,
    SCATTER,
    SHARPNESS,
    print_figures,
    print_table,
    titles_of,
)


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
    assert cells["sft"] == ["-", "0.700", "0.500", "0.750", "1.000", "0.250", "-", "340"]
    assert "off the scale" not in "".join(lines)
    assert lines[-2] == "sft: undefined (constant predictions): PLCC"
    assert lines[-1] == "run folder: " + "runs/a very long name that a narrow terminal would break" * 3


def test_a_stage_with_clipped_ratings_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"clipped_ratings": 17, "clipped_rating_rate": 0.05, "clipped_labels": 0, "clipped_label_rate": 0.0}
    print_table({"sft": counts, "grpo": {**counts, "clipped_ratings": 0}}, Path("runs/x"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "off the scale" in line]
    assert lines == ["sft: 17 ratings (5.0%) and 0 labels (0.0%) off the scale of 1 to 5, clipped to it"]


def test_answers_and_expected_ratings_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"srcc": 0.7, "srcc_expected": 0.8, "rmse": 0.65, "rmse_expected": 0.5}
    figures |= {"expected_spread": 0.4, "squared_bias": 0.25, "rating_variance": 0.125}
    print_table({"sft": {**figures, "n_expected": 340}, "grpo": figures}, Path("runs/x"))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    shown = ["0.700", "0.800", "0.650", "0.500", "0.400"]
    assert cells[-4:-2] == [["sft", *shown], ["grpo", *shown]]
    assert cells[-2:] == [["sft", "0.250", "0.125"], ["grpo", "0.250", "0.125"]]
    print_table({"sft": {"srcc": 0.7, "n_expected": 3, "srcc_expected": 0.8}}, Path("runs/x"))
    assert "squared" not in capsys.readouterr().out


def test_figures_of_parts_are_there_where_some_run_has_them() -> None:
    plain = {"n": 3, "looks_per_image": 0.5, "defect_accuracy": "undefined (no evidence about a known defect)"}
    worded = {"n": 3, "asked_caption": 3, "srcc_caption": 0.5, "rouge1": {"f1": 0.1}, "evidence_iou": 0.2}
    assert titles_of([plain]) == {"images": "n", "looks per trajectory": "looks_per_image"}
    assert list(titles_of([plain, worded]).values()) == [
        "n",
        "asked_caption",
        "srcc_caption",
        "rouge1",
        "looks_per_image",
        "evidence_iou",
    ]


def test_no_heading_is_cut_in_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    keys = (*COLUMNS.values(), *SHARPNESS.values(), *SCATTER.values(), *EVIDENCE.values())
    print_table({"grpo": {**dict.fromkeys(keys, 0.125), "n_expected": 340, "n": 340}}, Path("runs/x"))
    assert "…" not in capsys.readouterr().out
    compared = dict.fromkeys((*COMPARED.values(), *CHOSEN.values()), "undefined (no answer can be read)")
    print_table({"grpo": {**compared, "accuracy": 0.125, "n": 1200}}, Path("runs/x"))
    out = capsys.readouterr().out
    assert "…" not in out
    assert out.count("undefined (no answer can be read): ") == 1


def test_names_and_paths_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"scores [v2]": {"n": 3, "srcc": "undefined (2 images)"}, "[/b]\x1b": {"n": 4, "srcc": 0.5}}
    print_table(figures, Path("runs/a[/b] [red]c"))
    print_figures(figures, Path("runs/a[/b] [red]c"))
    out = capsys.readouterr().out
    assert out.count("run folder: runs/a[/b] [red]c\n") == 2
    assert "scores [v2]: undefined (2 images): SRCC" in out
    assert out.count("[/b]\\x1b") == 2


def test_many_data_sets_are_parted_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    names = ["livewild_jpeg", "trajectories", "agiqa", "a-data-set-of-a-very-long-name-that-fits-nowhere-at-all"]
    print_figures({name: {"n": 1234567, "srcc": 0.125} for name in names}, Path("runs/x"))
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(name in out for name in names[:3])
    assert (out.count("1234567"), out.count("0.125")) == (4, 4)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.splitlines() if "│" in line]
    assert max(map(len, plain)) <= 80

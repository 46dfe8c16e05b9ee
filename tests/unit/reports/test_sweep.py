"""A multirun's table: a row a run, the columns in which they differ, and a line for each that has not ended."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from support.made_rollouts import choice_record
from support.made_run_folder import answer, run_folder
from zoom_iqa.config.sweeps import SweepSummary
from zoom_iqa.reports.sweep import sweep_table


def answers(off: float) -> list:
    """Ten images, of which the middle one is off."""
    return [answer(f"i{n}", 1.5 + n / 4, 1.5 + n / 4 + (off if n == 5 else 0)) for n in range(10)]


@pytest.fixture
def multirun(tmp_path: Path) -> Path:
    """Two runs of other seeds and rates, of which the second orders better, and one that has not ended."""
    for number, (seed, off) in enumerate([(0, 2.0), (1, 0.0)]):
        config = {"seed": seed, "grpo": {"lr": 0.1 * (seed + 1), "also": 0.1 * (seed + 1)}, "paths": {"here": seed}}
        run_folder(tmp_path / "sweep" / str(number), {"sft": answers(1.0), "grpo": answers(off)}, config=config)
    (tmp_path / "sweep" / "2").mkdir()
    (tmp_path / "sweep" / "2" / "config.yaml").write_text("stages: [sft]\n")
    (tmp_path / "sweep" / "3").mkdir()
    (tmp_path / "sweep" / "3" / "failed").touch()
    return tmp_path / "sweep"


def test_the_best_comes_first_and_equal_columns_once(multirun: Path) -> None:
    table = sweep_table(multirun)
    assert list(table.header[:4]) == ["run", "grpo.also", "seed", "images"]  # grpo.lr is as grpo.also
    assert [list(row[:5]) for row in table.rows] == [["1", "0.2", "1", "10", "1"], ["0", "0.1", "0", "10", "0.8788"]]
    assert table.notes == ["not in the table: 2 has no figures yet", "not in the table: 3 has failed"]


def test_what_a_logger_keeps_in_a_run_is_no_run(multirun: Path) -> None:
    (multirun / "0" / "wandb" / "files").mkdir(parents=True)
    (multirun / "0" / "wandb" / "files" / "config.yaml").write_text("stages: {}\n")
    assert sweep_table(multirun).notes == ["not in the table: 2 has no figures yet", "not in the table: 3 has failed"]


def test_values_that_differ_look_different(tmp_path: Path) -> None:
    for number, (path, rate) in enumerate(
        [("runs/sft (seed 0)/policy", 1.00001e-5), ("runs/sft (seed 1)", 1.00002e-5)]
    ):
        config = {"policy": {"path": path}, "lr": rate}
        run_folder(tmp_path / str(number), {"sft": answers(1.0)}, config=config)
    table = sweep_table(tmp_path)
    assert list(table.header[1:3]) == ["lr", "policy.path"]
    assert sorted(row[1:3] for row in table.rows) == [
        ["1.00001e-05", "runs/sft (seed 0)/policy"],
        ["1.00002e-05", "runs/sft (seed 1)"],
    ]


def test_an_undefined_figure_comes_last(tmp_path: Path) -> None:
    constant = [answer(f"i{n}", 1.5 + n / 4, 3.0) for n in range(10)]
    for number, records in enumerate([constant, answers(2.0)]):
        run_folder(tmp_path / str(number), {"sft": records}, config={"seed": number})
    table = sweep_table(tmp_path)
    srcc = list(table.header).index("SRCC")
    assert [(row[0], row[srcc]) for row in table.rows] == [("1", "0.8788"), ("0", "undefined")]


def test_runs_that_compare_are_in_the_order_of_their_accuracy(tmp_path: Path) -> None:
    """Of two questions about one pair the first run has one right, and prefers another image when they are swapped."""
    for number, second in enumerate(("Image A", "Image B")):
        asked = [choice_record("Image A", "Image A"), choice_record("Image B", second, swapped=True)]  # type: ignore[arg-type]
        run_folder(tmp_path / str(number), {"sft": asked}, config={"seed": number})
    table = sweep_table(tmp_path)
    assert list(table.header) == ["run", "seed", "images", "accuracy", "order flips", "valid rate", "format rate"]
    assert [list(row) for row in table.rows] == [
        ["1", "1", "2", "1", "0", "1", "1"],
        ["0", "0", "2", "0.5", "1", "1", "1"],
    ]


def test_it_is_kept_and_printed_when_the_multirun_ends(
    multirun: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "-m", "seed=0,1,2,3"])
    with pytest.raises(SystemExit) as ended:
        SweepSummary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(multirun)}}}))
    assert ended.value.code == 2
    with (multirun / "summary.csv").open(newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["1", "0"]
    said = capsys.readouterr()
    assert "2 runs, the last stage of each" in said.out
    assert said.out.endswith(f"{multirun / 'summary.csv'}\n")
    again = f"python -m zoom_iqa.train -m seed=0,1,2,3 hydra.sweep.dir={multirun}"
    assert said.err == f"error: 2 runs have not ended; to go on with them: {again}\n"


def test_one_in_which_all_have_ended_ends_well(multirun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("2/config.yaml", "3/failed"):
        (multirun / name).unlink()
    SweepSummary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(multirun)}}}))
    assert (multirun / "summary.csv").is_file()
    assert capsys.readouterr().err == ""


def test_a_multirun_of_which_nothing_ended_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        SweepSummary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().err.startswith(f"no summary: {tmp_path}: no training run has ended below it")

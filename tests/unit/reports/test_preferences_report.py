"""The table of choices: published rows as they were printed, answers and ratings of runs beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from support.made_rollouts import choice_record, record
from support.made_run_folder import answer, run_folder
from support.made_sriqa import SCORES, name_of
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.types import ImageRef
from zoom_iqa.config.run_report import write_report
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.report import report
from zoom_iqa.reports.contents import read_contents
from zoom_iqa.reports.overview import drawn


def run(folder: Path, records: Sequence[Record]) -> Path:
    """An evaluation of one data set."""
    dataset = records[0].example.dataset
    (folder / dataset).mkdir(parents=True)
    config: dict[str, Any] = {"policy": {"path": "p"}, "samples_per_image": 1, "limit": None}
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    (folder / "metrics.json").write_text(json.dumps({dataset: figures_of(records, None)}))
    with RecordFile(folder / dataset / "predictions.jsonl", RecordCodec()) as file:
        file.append(iter(records))
    return folder


def rows(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report(["preferences", *arguments, "--format", "csv"]))))


def rated(ratings: dict[str, float | None]) -> list[Record]:
    """Records of SRIQA-Bench's images; those that are not named are rated by their score."""
    made = []
    for photograph, scores in SCORES.items():
        for method, score in scores.items():
            name = name_of(photograph, method)
            mos = 1 + score / 25
            one = record(name, mos=mos, rating=ratings.get(name, mos), dataset="srbench_images")
            images = (ImageRef(path=f"/x/images/{method}/{name}.png"),)
            made.append(replace(one, example=replace(one.example, reference_id=photograph, images=images)))
    return made


def test_published_rows_are_marked_and_as_printed() -> None:
    found = {row["method"]: row for row in rows()}
    assert len(found) == 8
    assert all(row["origin"].startswith("published, ") for row in found.values())
    trained = found["Q-Insight trained"]
    assert (trained["Reg-Acc"], trained["Gen-Acc"], trained["accuracy"]) == ("85.67", "77.78", "82.80")
    assert (found["Q-DeepSight"]["Reg-Acc"], found["Q-DeepSight"]["accuracy"]) == ("88.53", "")


def test_published_rows_are_those_of_the_shared_file(shared_dir: Path) -> None:
    path = shared_dir / "published" / "other_systems.csv"
    lines = [row for row in csv.DictReader(path.open(encoding="utf-8")) if row["dataset"] == "SRbench"]
    known = {row["system"]: row["value"].split("/") for row in lines}
    for row in rows():
        shares = [row[name] for name in ("Reg-Acc", "Gen-Acc", "accuracy")]
        assert [share for share in shares if share] == known.pop(row["method"])
    assert not known


def test_answers_of_a_run(tmp_path: Path) -> None:
    answers = [
        choice_record("Image A", "Image A", kind="regression"),
        choice_record("Image B", "Image A", kind="regression", swapped=True),
    ]
    (row,) = rows(f"mine={run(tmp_path / 'a', answers)}")[8:]
    assert (row["method"], row["pairs of"], row["origin"]) == ("mine", "pairs", "measured here, answers")
    assert (row["Reg-Acc"], row["Gen-Acc"], row["accuracy"], row["always"]) == ("50.00", "", "50.00", "50.00")
    assert (row["order bias"], row["unreadable"], row["pairs"]) == ("100.00", "0", "1")


def test_ratings_make_choices_of_all_pairs_of_a_photograph(tmp_path: Path) -> None:
    """Of x1's 10 pairs: SwinIR is rated best; of x2's 10: all as scored, but one image cannot be read (4 pairs)."""
    folder = run(tmp_path / "r", rated({"x1_SwinIRx4": 5.0, "x2_HGGTx4": None}))
    (row,) = rows(f"ratings={folder}")[8:]
    assert (row["pairs of"], row["origin"]) == ("SRIQA-Bench", "measured here, ratings")
    # regression: x1 has Original-SwinIR wrong, SwinIR-RealESRNet and Original-RealESRNet right; x2 all three right
    assert row["Reg-Acc"] == "83.33"
    # generation: x1 all right; x2 loses Original-HGGT and SUPIR-HGGT
    assert row["Gen-Acc"] == "66.67"
    # all: x1 loses SwinIR's with Original, SUPIR, HGGT; x2 the four of HGGT; x2's 50 and 50 are similar to both
    assert row["accuracy"] == "65.00"
    assert (row["order bias"], row["unreadable"], row["pairs"]) == ("0.00", "8", "20")
    (banded,) = rows(f"ratings={folder}", "--band", "0.4")[8:]
    assert banded["accuracy"] == "55.00"  # x1 loses Original's with SUPIR and HGGT, which are 10 of 100 away


def test_ratings_of_a_training_run_are_those_after_its_last_stage(tmp_path: Path) -> None:
    stages = {
        name: [answer("low", 2.0, low, photograph="x"), answer("high", 4.0, high, photograph="x")]
        for name, low, high in (("sft", 4.0, 2.0), ("grpo", 2.0, 4.0))
    }
    folder = run_folder(tmp_path / "run", stages, config={"benchmark": {"name": "made"}})
    (row,) = rows(f"trained={folder}")[8:]
    assert (row["method"], row["pairs of"], row["accuracy"], row["pairs"]) == ("trained", "made", "100.00", "1")


def test_ratings_on_the_pairs_of_a_run_that_compares(tmp_path: Path) -> None:
    asked = choice_record("Image B", "Image A")
    compared = run(tmp_path / "c", [asked])
    folder = run(tmp_path / "r", [record("a", rating=2.0), record("b", rating=3.0), record("c", rating=None)])
    (row,) = rows(f"ratings={folder}", "--pairs", str(compared))[8:]
    assert (row["accuracy"], row["pairs"]) == ("100.00", "1")
    lacking = run(tmp_path / "l", [record("a", rating=2.0)])
    with pytest.raises(DataError, match="1 of 2 images of the pairs were not rated"):
        rows(f"ratings={lacking}", "--pairs", str(compared))


def test_a_data_set_that_makes_no_pairs_is_left_out_of_several_and_named(tmp_path: Path) -> None:
    paired = [answer("low", 2.0, 2.0, photograph="x"), answer("high", 4.0, 4.0, photograph="x")]
    folder = run(tmp_path / "r", paired)
    (folder / "alone").mkdir()
    RecordFile(folder / "alone" / "predictions.jsonl", RecordCodec()).write([record("a"), record("b")])
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"alone": next(iter(metrics.values()))}))
    (row,) = rows(f"mine={folder}")[8:]
    assert (row["accuracy"], row["pairs"]) == ("100.00", "1")
    assert "no two images of d have one reference; give --pairs FOLDER; that data set has no row." in report(
        ["preferences", f"mine={folder}"]
    )


def test_what_makes_no_pairs_is_refused(tmp_path: Path) -> None:
    alone = run(tmp_path / "r", [record("a"), record("b")])
    with pytest.raises(DataError, match="no two images of d have one reference; give --pairs FOLDER"):
        rows(str(alone))
    with pytest.raises(DataError, match="has rated images, and --pairs needs a run that compares them"):
        rows(str(alone), "--pairs", str(alone))
    with pytest.raises(ConfigError, match=r"--band=-1\.0 must be 0 or more"):
        rows("--band=-1")
    (alone / "d" / "predictions.jsonl").unlink()
    with pytest.raises(DataError, match=r"predictions\.jsonl is absent or empty"):
        rows(str(alone))


def test_a_page_of_a_run_that_there_is_not_is_refused_for_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere has no config\.yaml; give the folder of a run"):
        write_report(tmp_path / "nowhere")


def test_overview_and_page_of_a_comparison(tmp_path: Path) -> None:
    answers = [
        choice_record(label, choice, pair=f"{source}{number}", source=source, kind="regression")
        for source in "uvw"
        for number, (label, choice) in enumerate((("Image A", "Image A"), ("Image B", "Similar"), ("Similar", None)))
    ]
    folder = run(tmp_path / "a", answers)
    accuracy, kinds, choices, order = drawn(read_contents(folder)).axes
    assert [text.get_text() for text in accuracy.texts] == ["0.333"]
    assert [text.get_text() for text in kinds.get_xticklabels()] == ["all", "regression"]
    assert [bar.get_height() for bar in choices.patches] == [3, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3]
    assert not order.texts  # each pair was asked about in one order
    with pytest.raises(DataError, match=r"compares images, and the page shows ratings; .*report preferences"):
        write_report(folder)

"""Two judges side by side, from the folders that the command leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.curation.judging import Judgement, JudgementCodec
from zoom_iqa.report import report
from zoom_iqa.tasks.grades import CRITERIA


def folder(place: Path, grades: Sequence[int | str], *, benchmark: str = "embedded", system: str = "ours") -> Path:
    """A text answers the question about an image: a grade on every criterion, or something else."""
    place.mkdir()
    made = [
        Judgement(
            system=system,
            dataset="d",
            id=f"image {number}",
            control=None,
            repeat=0,
            about="words",
            text="".join(f"<{name}>{grade}</{name}>" for name in CRITERIA),
            finish="stop",
        )
        for number, grade in enumerate(grades)
    ]
    RecordFile(place / "judgements.jsonl", JudgementCodec()).write(made)
    cost = {"judge_requests": 1200, "judge_money": 0.25} if place.name == "a" else {}
    figures = {"judge_name": f"model {place.name}", "benchmark": benchmark, "cost": cost, "systems": {}}
    (place / "judged.json").write_text(json.dumps(figures))
    return place


def test_agreement_and_cost_stand_beside_each_other(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", [1, 3, 5, "?"]), folder(tmp_path / "b", [1, 3, 5, 9])
    said = report(["judges", str(a), str(b)])
    assert "Two judges on embedded: A: model a, B: model b" in said
    rows = [line for line in said.splitlines() if line.startswith("| accuracy")]
    assert [cell.strip() for cell in rows[0].strip("| ").split("|")[:4]] == ["accuracy", "3", "3.00", "3.00"]
    assert "1.000 [1.000, 1.000]" in rows[0]
    assert "- A: model a: 4 answers, 1 without grades; 1,200 requests, 0.25 money." in said
    assert "- B: model b: 4 answers, 0 without grades; answers cost nothing." in said
    assert report(["judges", str(a), str(b), "--format", "csv"]).count("\n") == 1 + len(CRITERIA)


def test_constant_grades_have_no_correlation(tmp_path: Path) -> None:
    said = report(["judges", str(folder(tmp_path / "a", [5, 5, 5])), str(folder(tmp_path / "b", [1, 2, 3]))])
    assert "undefined" in said
    assert "srcc is undefined: all predictions are equal" in said


def test_folders_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", [5]), folder(tmp_path / "b", [5], benchmark="koniq")
    with pytest.raises(DataError, match=r"a is about embedded and .*b is about koniq; name two folders"):
        report(["judges", str(a), str(b)])
    other = folder(tmp_path / "c", [5], system="theirs")
    with pytest.raises(DataError, match=r"no text was graded by both: .*a has ours, .*c has theirs; have both judge"):
        report(["judges", str(a), str(other)])

"""Table 2: published rows as the paper has them, ours marked, controls and failures said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.curation.judge_figures import judge_figures
from zoom_iqa.curation.judging import Judgement
from zoom_iqa.reports.judged import judged_table, read_judged
from zoom_iqa.reports.rendering import markdown
from zoom_iqa.tasks.grades import CRITERIA


def judgement(image: str, grade: int, *, template: bool = False, finish: str = "stop") -> Judgement:
    text = "".join(f"<{name}>{grade}</{name}>" for name in CRITERIA)
    control = "template" if template else None
    return Judgement(
        system="ours",
        dataset="d",
        id=image,
        control=control,
        repeat=0,
        about="words",
        text=text,
        finish=finish,  # type: ignore[arg-type]
    )


def test_rows_and_notes(tmp_path: Path) -> None:
    judged = [
        judgement("x", 8),
        judgement("y", 6),
        judgement("x", 3, template=True),
        judgement("z", 9, finish="refused"),
        judgement("y", 9, template=True, finish="length"),
    ]
    systems = judge_figures(judged, n_resamples=10, seed=0)
    systems["ours"]["without_text"] = 2
    path = tmp_path / "judged.json"
    path.write_text(json.dumps({"judge_name": "tiny", "benchmark": "embedded", "unanswered": 2, "systems": systems}))
    table = judged_table([read_judged(tmp_path)], paired=True)
    assert len(table.rows) == 16 + 1
    zoom = next(row for row in table.rows if row[:3] == ["Zoom-IQA", "KonIQ", "GPT-5-mini"])
    assert list(zoom[4:]) == ["6.93", "6.93", "6.61", "7.98"]  # accuracy, reasonableness, completeness, confidence
    assert list(table.rows[-1]) == ["ours", "embedded", "tiny", "measured here", *["7.00"] * 4]
    text = markdown(table)
    assert "2 images; answers of 3 without grades: refused 1; 2 answers without a text" in text
    assert "- ours, control template: answers of 2 without grades: length 1." in text
    assert "- tiny: 2 questions got no usable answer and count nowhere." in text
    assert "control template (1 images) is graded lower in accuracy by 5.00" in text
    assert "not shown" not in text


def test_a_control_that_is_not_graded_lower_is_said_to_be_none() -> None:
    """Own texts 4, 6, 5 and their template 3, 6, 7: lower by 0 on average, between -2 and 1."""
    judged = [judgement(image, grade) for image, grade in zip("xyz", (4, 6, 5), strict=True)]
    judged += [judgement(image, grade, template=True) for image, grade in zip("xyz", (3, 6, 7), strict=True)]
    systems = judge_figures(judged, n_resamples=2000, seed=0)
    systems["ours"]["without_text"] = 0
    text = markdown(judged_table([{"judge_name": "tiny", "benchmark": "embedded", "systems": systems}], paired=True))
    assert "graded lower in accuracy by -0.33 [-2.00, 1.00]" in text
    assert (
        "control template: that it is lower is not shown for accuracy, reasonableness, completeness, confidence" in text
    )


def test_a_folder_without_figures_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"judged.json cannot be read .*; name a folder of zoom-iqa judge"):
        read_judged(tmp_path)


@pytest.mark.parametrize("systems", [{"a": {}}, {"a": 3}, [], {"a": {"images": 1, "criteria": {}}}])
def test_damaged_figures_are_one_line(systems: object, tmp_path: Path) -> None:
    (tmp_path / "judged.json").write_text(json.dumps({"judge_name": "x", "benchmark": "b", "systems": systems}))
    with pytest.raises(DataError, match=r"judged\.json is damaged \(it has no "):
        read_judged(tmp_path)


def test_numbers_are_numbers_where_columns_are_read(tmp_path: Path) -> None:
    systems = judge_figures([judgement(image, grade) for image, grade in zip("xyz", (4, 6, 5), strict=True)],
                            n_resamples=2000, seed=0)  # fmt: skip
    systems["ours"]["without_text"] = 0
    table = judged_table([{"judge_name": "tiny", "benchmark": "embedded", "systems": systems}], paired=False)
    assert list(table.header[4:7]) == ["Accuracy", "Accuracy, low", "Accuracy, high"]
    assert list(table.rows[-1][4:7]) == ["5.00", "4.00", "6.00"]
    zoom = next(row for row in table.rows if row[:3] == ["Zoom-IQA", "KonIQ", "GPT-5-mini"])
    assert list(zoom[4:8]) == ["6.93", "", "", "6.93"]

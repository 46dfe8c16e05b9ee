"""Assessments as cards, JSON, JSON Lines and CSV: whole files whatever ends the work, and text that stays text."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from support.made_assessments import answer, assessment, chain_answer
from zoom_iqa.base.judgements import Evidence
from zoom_iqa.evaluation.assessment import Outcome, Unviewable
from zoom_iqa.reports.assessing import FORMS
from zoom_iqa.reports.assessments import COLUMNS, fields_of
from zoom_iqa.reports.cards import evidence_said, look_said

FIRST = answer(3.0, 2.5, boxes=((10, 10, 60, 35),), text="<think>Crop: soft\nImprove: sharp eyes\nAvoid: blur</think>")
SECOND = answer(None, text="no idea", sample=1)
WHOLE = assessment(FIRST, SECOND, source="a.jpg")
SILENT = assessment(answer(None, text="[red]\x1b[2Jno\u202e idea[/red]"), source="\x1b]0;x\x07[b]odd.jpg")
CHAIN = assessment(chain_answer())
BAD = Unviewable(source="b.jpg", reason="b.jpg: there is no such file")
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "figures.md").read_text(encoding="utf-8")


def written(form: str, *outcomes: Outcome) -> str:
    file = io.StringIO()
    with FORMS[form](file) as writer:
        for outcome in outcomes:
            writer.write(outcome)
    return file.getvalue()


def test_fields_of_one() -> None:
    assert fields_of(WHOLE) == {
        "image": "a.jpg",
        "width": 100,
        "height": 50,
        "rating": 2.5,
        "spread": None,
        "expected": 2.5,
        "expected_std": 0.1,
        "verdict": "fair",
        "failure": None,
        "sections": [
            {"Improve": "sharp eyes", "Avoid": "blur"},
            {"Crop": "soft", "Improve": "sharp eyes", "Avoid": "blur"},
        ],
        "crops": [
            {
                "box": [10, 10, 60, 35],
                "region": [0.1, 0.2, 0.6, 0.7],
                "sought": None,
                "rating_before": 3.0,
                "rating_after": 2.5,
            }
        ],
        "evidence": None,
        "answers": [
            {"rating": 2.5, "failure": None, "ending": "final", "turns": [step.text for step in FIRST.steps]},
            {"rating": None, "failure": "bad_rating", "ending": "final", "turns": ["no idea"]},
        ],
        "error": None,
    }
    assert fields_of(BAD) == {"image": "b.jpg", "error": "b.jpg: there is no such file"}


def test_a_chain_says_what_it_looked_for_and_rests_on() -> None:
    fields = fields_of(CHAIN)
    (crop,) = fields["crops"]
    assert (crop["box"], crop["sought"], crop["rating_before"], crop["rating_after"]) == (
        [10, 10, 60, 35],
        "blur",
        None,
        2.0,
    )
    assert fields["evidence"] == [{"bbox_2d": [0.1, 0.2, 0.6, 0.7], "defect": "blur", "severity": "clear"}]
    card = written("cards", CHAIN)
    assert "clear blur, x 10-60 %, y 20-70 %" in card
    assert "x 10-60 %, y 20-70 %: for blur" in card
    assert "unreadable" not in card


def test_evidence_in_pixels_is_said_in_pixels() -> None:
    assert evidence_said(Evidence(bbox=(10, 20, 90, 40.5), defect="blur", severity="")) == (
        "blur, x 10-90, y 20-40.5 pixels"
    )


def test_fields_are_those_of_the_documentation() -> None:
    section = PAGE.partition("\n## Assessments\n")[2].partition("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    fields = fields_of(CHAIN)
    inner = set(fields["crops"][0]) | set(fields["answers"][0]) | set(fields["evidence"][0])
    assert named == set(fields) | inner | set(COLUMNS)


def test_json_is_one_list_and_lines_are_objects() -> None:
    assert json.loads(written("json", WHOLE, BAD)) == [fields_of(WHOLE), fields_of(BAD)]
    assert json.loads(written("json")) == []
    lines = written("jsonl", WHOLE, SILENT).splitlines()
    assert [json.loads(line) for line in lines] == [fields_of(WHOLE), fields_of(SILENT)]
    assert all(line.isascii() for line in lines)


def test_a_list_that_is_broken_off_can_be_read() -> None:
    file = io.StringIO()

    def broken_off() -> None:
        with FORMS["json"](file) as writer:
            writer.write(WHOLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert json.loads(file.getvalue()) == [fields_of(WHOLE)]


def test_csv_has_a_row_an_image() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", WHOLE, SILENT, BAD))))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["rating"], rows[0]["crops"], rows[0]["answers"], rows[0]["readable"]) == ("2.5", "1", "2", "1")
    assert (rows[1]["rating"], rows[1]["failure"], rows[1]["error"]) == ("", "bad_rating", "")
    assert (rows[2]["image"], rows[2]["error"], rows[2]["answers"]) == ("b.jpg", "b.jpg: there is no such file", "")


@pytest.mark.parametrize("name", ['=HYPERLINK("http:x")+1.jpg', "@SUM(A1).jpg", "+1.jpg", "-1.jpg", "\ta.jpg"])
def test_no_name_of_a_file_is_a_formula_in_a_spreadsheet(name: str) -> None:
    bad = Unviewable(source=name, reason=f"{name}: there is no such file")
    (row,) = csv.DictReader(io.StringIO(written("csv", bad)))
    assert (row["image"], row["error"]) == (f"./{name}", f"./{name}: there is no such file")


def test_each_line_of_json_is_whole_when_progress_comes_between() -> None:
    file = io.StringIO()
    with FORMS["json"](file) as writer:
        for outcome in (WHOLE, BAD):
            writer.write(outcome)
            assert file.getvalue().endswith("}\n")


def test_a_card_has_everything() -> None:
    card = written("cards", WHOLE)
    for text in (
        "a.jpg",
        "100 x 50",
        "2.50 fair (mean of 1 answers, 1 unreadable)",
        "2.50, spread 0.10",
        "sharp eyes",
        "x 10-60 %, y 20-70 %: 3.00 before, 2.50 after: lowered by 0.50",
    ):
        assert text in card
    assert written("cards", BAD) == ""


def test_a_card_of_a_chain_has_the_thought_of_each_turn() -> None:
    """The answer is ill-formed, so that all of it is shown."""
    look, rests = chain_answer().steps
    called = '<think>maybe upper left</think><zoom>{"bbox_2d": [0.1, 0.2, 0.6, 0.7], "look_for": "blur"}</zoom>'
    broken = replace(rests, text="<think>so</think>2.0!", reading=replace(rests.reading, well_formed=False))
    card = written("cards", assessment(replace(chain_answer(), steps=(replace(look, text=called), broken))))
    rows = [line.strip("│ ").split() for line in card.splitlines()]
    assert ["turn", "1", "maybe", "upper", "left"] in rows
    assert ["turn", "2", "<think>so</think>2.0!"] in rows
    assert "zoom" not in card


def test_text_of_models_and_names_of_files_show_as_text() -> None:
    card = written("cards", SILENT)
    assert "\x1b" not in card
    assert "[red]\\x1b[2Jno\\u202e idea[/red]" in card
    assert "\\x1b]0;x\\x07[b]odd.jpg" in card
    assert "unreadable: bad_rating" in card


def test_of_a_long_path_the_end_stays() -> None:
    folder = "photographs of last year/" + "a week at the lake/" * 8
    card = written("cards", replace(WHOLE, source=f"{folder}DSC_0001.jpg"))
    assert card.splitlines()[0].startswith("╭─ ...")
    assert "a week at the lake/DSC_0001.jpg ─" in card.splitlines()[0]


@pytest.mark.parametrize(
    ("ratings", "said"),
    [
        ((3.0, 3.25), "3.00 before, 3.25 after: raised by 0.25"),
        ((3.0, 3.0), "3.00 before, 3.00 after: left"),
        ((3.0, None), "3.00 before, unreadable after"),
    ],
)
def test_what_a_look_changed(ratings: tuple[float, float | None], said: str) -> None:
    (look,) = assessment(answer(*ratings, boxes=((0, 0, 50, 50),))).looks
    assert look_said(look) == f"x 0-50 %, y 0-100 %: {said}"

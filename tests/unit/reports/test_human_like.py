"""The table of H-IQA: rows say how they were obtained, and those about people's texts are those of the study."""

from __future__ import annotations

import csv
from pathlib import Path

from zoom_iqa.report import report
from zoom_iqa.reports.human_like import human_like_table

PEOPLE = Path(__file__).parents[3] / "experiments" / "human" / "people_test.csv"
NAMES = {
    "people: each and the nearest other": "a person, nearest other person",
    "people: each and the summary": "a person, the summary",
    "another image's summary": "another image's summary, the summary",
    "one text for all images: 4 words": "short template, the summary",
    "one text for all images: 27 words": "template, the summary",
    "one text for all images: 114 words": "long template, the summary",
}
FIGURES = {
    "plcc": 0.5,
    "srcc": 0.75,
    "rouge1": {"precision": 0.25, "recall": 0.5, "f1": 1 / 3},
    "words": 9.725,
    "rouge1_best": {"precision": 0.05, "recall": 0.06, "f1": 0.07},
    "rouge1_people": {"precision": 0.1, "recall": 0.2, "f1": 0.3},
    "srcc_caption": 0.7,
    "plcc_caption": "undefined (constant)",
    "srcc_gap_caption": 0.05,
    "srcc_gap_interval_caption": {"low": -0.01, "high": 0.11},
    "asked_caption": 1.0,
    "valid_rate_caption": 0.875,
}


def test_every_row_says_how_it_was_obtained() -> None:
    rows = list(csv.DictReader(report(["human", "--format", "csv"]).splitlines()))
    origins = {row["origin"].split()[0].rstrip(",") for row in rows}
    assert origins == {"published", "recomputed", "measured"}
    assert {row["SRCC"] for row in rows if row["method"] == "with self-consistency" and row["data set"] == "KonIQ"} == {
        "0.905",
        "0.879",
    }


def test_rows_of_peoples_texts_are_those_of_the_study() -> None:
    with PEOPLE.open(encoding="utf-8", newline="") as file:
        measured = {row["compared"]: row for row in csv.DictReader(file)}
    rows = {row["method"]: row for row in csv.DictReader(report(["human", "--format", "csv"]).splitlines())}
    for method, compared in NAMES.items():
        for measure in ("precision", "recall", "f1"):
            shown = rows[method][f"ROUGE-1 {measure.upper() if measure == 'f1' else measure}"]
            assert shown == measured[compared][measure], (method, measure)
    assert {method for method, row in rows.items() if row["origin"].startswith("measured")} == NAMES.keys()


def test_our_rows_are_of_both_views_with_their_gap() -> None:
    table = human_like_table({"mine": {"embedded": FIGURES}}, remarks=["mine: where"])
    ours = [list(row) for row in table.rows if row[1] == "embedded"]
    blank = [""] * 5
    assert ours == [
        ["mine", "embedded", "image", "measured here", "0.500", "0.750", "0.250", "0.500", "0.333", "", "9.7"],
        ["mine", "embedded", "caption", "measured here", "undefined", "0.700", *blank],
        ["mine, and the nearest text", "embedded", "", "measured here", "", "", "0.050", "0.060", "0.070", "", ""],
        [
            "references: each and the nearest other",
            "embedded",
            "",
            "measured here",
            "",
            "",
            "0.100",
            "0.200",
            "0.300",
            "",
            "",
        ],
    ]
    assert all(len(row) == len(table.header) for row in table.rows)
    assert any("synthetic: nobody wrote them" in note for note in table.notes)
    assert table.notes[-1] == (
        "mine, embedded, caption: SRCC from the image minus from words +0.050 [-0.010, +0.110]; "
        "100.0% of answers had words, and of the ratings from them 87.5% can be read."
    )


def test_a_run_without_words_has_its_image_row_alone() -> None:
    table = human_like_table({"plain": {"koniq": {"plcc": 0.5, "srcc": 0.6}}}, remarks=[])
    assert [row[2] for row in table.rows if row[0] == "plain"] == ["image"]

"""Numbers as texts: every absence in its own word."""

import pytest

from zoom_iqa.reports.numbers import csv_number, ends_said, figure_cell, grade_cell, rating_said, rounded


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (rating_said(3.456), "3.46"),
        (rating_said(None), "unreadable"),
        (grade_cell(3.456), "3.46"),
        (grade_cell(None), ""),
        (figure_cell(0.45678), "0.457"),
        (figure_cell("undefined (all MOS are equal)"), "undefined"),
        (ends_said(0.1234, 0.5678), "[0.123, 0.568]"),
        (ends_said(-0.1234, 0.5678, form="+.2f"), "[-0.12, +0.57]"),
        (csv_number(0.123456), "0.1235"),
        (csv_number(float("nan")), ""),
        (rounded(0.123456), 0.1235),
        (rounded(None), None),
    ],
)
def test_numbers_as_they_are_shown(said, expected):
    assert said == expected

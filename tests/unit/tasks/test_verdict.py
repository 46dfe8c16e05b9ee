"""The word for a rating."""

from __future__ import annotations

import pytest

from zoom_iqa.tasks.verdict import VERDICTS, word_for


@pytest.mark.parametrize(
    ("rating", "word"),
    [
        (1.0, "bad"),
        (1.49, "bad"),
        (1.5, "poor"),
        (1.51, "poor"),
        (2.49, "poor"),
        (2.5, "fair"),
        (2.51, "fair"),
        (3.49, "fair"),
        (3.5, "good"),
        (3.51, "good"),
        (4.49, "good"),
        (4.5, "excellent"),
        (4.51, "excellent"),
        (5.0, "excellent"),
    ],
)
def test_the_nearest_grade(rating: float, word: str) -> None:
    assert word_for(rating) == word
    assert word in VERDICTS

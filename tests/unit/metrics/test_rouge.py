"""ROUGE-1 by hand: words in common over words said, and over words to be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.metrics.rouge import agreement, best_rouge1, rouge1

WORDS = st.lists(st.sampled_from(["blur", "sky", "dark", "cat", "the"]), max_size=12).map(" ".join)


@pytest.mark.parametrize(
    ("text", "reference", "precision", "recall"),
    [
        ("a dark cat", "the cat is dark, dark", 2 / 3, 2 / 5),  # a dark counts once: the text has one
        ("dark dark", "A DARK cat", 1 / 2, 1 / 3),
        ("cats", "cat", 0, 0),  # no stemming
        ("<think>sky</think>", "sky", 1 / 3, 1),  # tags are words: think, sky, think
        ("", "sky", 0, 0),
        ("凧", "sky", 0, 0),
    ],
)
def test_words_in_common(text: str, reference: str, precision: float, recall: float) -> None:
    found = rouge1(text, reference)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision else 0.0)


@given(WORDS, WORDS)
def test_precision_is_the_recall_of_the_exchanged(text: str, reference: str) -> None:
    there, back = rouge1(text, reference), rouge1(reference, text)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.f1 == pytest.approx(back.f1)


def test_the_best_reference_is_that_of_the_highest_f1() -> None:
    assert best_rouge1("dark sky", ["dark sky over a cat", "dark sky", "sky"]) == (1, 1, 1)
    with pytest.raises(ValueError, match="empty"):
        best_rouge1("dark sky", [])


def test_agreement_is_of_each_with_the_best_of_the_others() -> None:
    found = agreement(["dark sky", "dark cat", "sky sky"])
    assert [one.f1 for one in found] == pytest.approx([0.5, 0.5, 0.5])
    assert agreement(["alone"]) == ()

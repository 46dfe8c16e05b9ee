"""ROUGE-1 of answers against one text and the nearest of several, and of people against one another, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.made_rollouts import record
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.evaluation.likeness import likeness_figures


def about(name: str, text: str, *, references: tuple[str, ...] = (), summary: str | None = None) -> Record:
    one = record(name, text=text)
    return replace(one, example=replace(one.example, references=references, summary=summary))


def test_means_against_one_text_and_against_the_nearest_person() -> None:
    found = likeness_figures(
        [
            about("a", "dark cat", references=("dark sky", "a dark cat sleeps"), summary="cat"),
            about("b", "sky", summary="sky and sea"),
            about("c", "nobody wrote about this"),
        ]
    )
    assert (found["n_human_text"], found["n_human_texts"], found["words"]) == (2, 1, 1.5)
    assert found["rouge1"] == pytest.approx(
        {"precision": (1 / 2 + 1) / 2, "recall": (1 + 1 / 3) / 2, "f1": (2 / 3 + 1 / 2) / 2}
    )
    assert found["rouge1_best"] == pytest.approx({"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3})
    # dark sky and a dark cat sleeps have one word in common
    assert found["rouge1_people"] == pytest.approx({"precision": 3 / 8, "recall": 3 / 8, "f1": 1 / 3})


def test_each_image_counts_alike_however_many_persons_wrote_about_it() -> None:
    found = likeness_figures(
        [
            about("a", "cat", references=("dark sky", "a dark cat sleeps")),  # F1 1/3 for both
            about("b", "cat", references=("one", "one", "one")),
        ]
    )
    assert found["rouge1_people"]["f1"] == pytest.approx((1 / 3 + 1) / 2)


def test_people_are_counted_once_however_many_answers_there_are() -> None:
    once = about("a", "dark cat", references=("dark sky", "a dark cat sleeps", "sky"))
    again = replace(once, sample=1)
    assert likeness_figures([once, again])["rouge1_people"] == likeness_figures([once])["rouge1_people"]


def test_one_person_has_no_ceiling_and_nobody_no_figures() -> None:
    assert "rouge1_people" not in likeness_figures([about("a", "cat", references=("cat",))])
    assert likeness_figures([about("a", "cat")]) == {}


def test_an_answer_without_words_has_no_likeness() -> None:
    found = likeness_figures([about("a", "", references=("cat", "dog"))])
    assert set(found["rouge1"].values()) == set(found["rouge1_best"].values()) == {0.0}


def test_they_are_figures_of_an_evaluation() -> None:
    found = figures_of([about("a", "cat", references=("cat", "dog")), about("b", "dog")], None)
    assert found["rouge1"]["recall"] == 0.5

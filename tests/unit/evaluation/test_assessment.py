"""The judgement of an image from its answers: means, the answer shown, its paragraphs and looks."""

from __future__ import annotations

import pytest

from support.made_assessments import STD, answer, assessment


def test_one_answer_is_its_own_mean_and_has_no_spread() -> None:
    found = assessment(answer(3.25))
    assert (found.rating, found.spread, found.verdict, found.failure) == (3.25, None, "fair", None)
    assert found.expected is not None
    assert (found.expected.mean, found.expected.std) == (3.25, STD)


def test_several_answers_count_by_their_mean_and_the_nearest_is_shown() -> None:
    found = assessment(answer(2.0), answer(None, sample=1), answer(3.4, sample=2), answer(4.5, sample=3))
    assert found.rating == pytest.approx(3.3)
    assert found.spread == pytest.approx(1.25300, abs=1e-5)  # by hand: sqrt((1.3^2 + 0.1^2 + 1.2^2) / 2)
    assert found.expected is not None
    assert found.expected.mean == found.rating
    # by hand: 0.1^2 within an answer and (1.3^2 + 0.1^2 + 1.2^2) / 3 between them
    assert found.expected.std == pytest.approx((0.01 + 3.14 / 3) ** 0.5)
    assert found.shown.sample == 2


def test_no_readable_answer_has_a_reason() -> None:
    found = assessment(answer(None), answer(None, sample=1))
    assert (found.rating, found.verdict, found.expected, found.failure) == (None, None, None, "bad_rating")
    assert found.shown.sample == 0


def test_looks_say_where_and_what_they_changed() -> None:
    found = assessment(answer(3.0, 2.5, None, boxes=((10, 10, 60, 35), (0, 25, 50, 50))))
    first, second = found.looks
    assert first.region == (0.1, 0.2, 0.6, 0.7)
    assert (first.before, first.after) == (3.0, 2.5)
    assert second.region == (0.0, 0.5, 0.5, 1.0)
    assert (second.before, second.after) == (2.5, None)


def test_a_crop_after_which_nothing_was_said_has_no_rating_after() -> None:
    (look,) = assessment(answer(3.0, boxes=((0, 0, 10, 10),))).looks
    assert (look.before, look.after) == (3.0, None)


def test_paragraphs_have_the_labels_of_their_turn() -> None:
    text = "<think>Quality: soft\nImprove: a crisp face\nCrop: still soft\nAvoid: blur</think>"
    found = assessment(answer(3.0, 2.5, 2.0, text=text))
    assert found.paragraphs == (
        {"Quality": "soft", "Improve": "a crisp face\nCrop: still soft", "Avoid": "blur"},
        {"Improve": "a crisp face", "Crop": "still soft", "Avoid": "blur"},
        {"Improve": "a crisp face", "Crop": "still soft", "Avoid": "blur"},
    )

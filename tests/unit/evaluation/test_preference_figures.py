"""Figures of comparisons by hand, and ratings that become choices."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.made_rollouts import choice_record, record
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.targets import CHOICES, MIRRORED, Choice, Preference
from zoom_iqa.base.types import Example, ImageRef
from zoom_iqa.evaluation.figures import answers_csv, figures_of
from zoom_iqa.evaluation.preferences import preference_figures, wrong_first
from zoom_iqa.evaluation.rated_pairs import choices_of_ratings
from zoom_iqa.objectives.rewards.comparison import MatchTerm
from zoom_iqa.objectives.rewards.rubric import Rubric

A, B, SIMILAR = CHOICES


def both(pair: str, label: Choice, straight: Choice | None, swapped: Choice | None, **more: str | None) -> list[Record]:
    """A pair asked about in both orders, with the label of its first order."""
    return [
        choice_record(label, straight, pair=pair, source=pair[0], **more),
        choice_record(MIRRORED[label], swapped, pair=pair, source=pair[0], swapped=True, **more),
    ]


RECORDS = [
    *both("u1", A, A, B, kind="regression"),  # right twice, of one image
    *both("u2", A, A, A, kind="regression"),  # right, wrong: flips with the order
    *both("v1", B, A, B, kind="generation"),  # wrong twice, of one image
    *both("v2", SIMILAR, SIMILAR, A, kind="generation"),  # right, wrong: flips
    *both("w1", B, B, None),  # right, unreadable
]


def test_figures_by_hand() -> None:
    found = figures_of(RECORDS, None)
    assert (found["n"], found["n_pairs"], found["samples_per_image"]) == (10, 5, 1)
    assert found["accuracy"] == pytest.approx(5 / 10)
    assert found["accuracy_regression"] == pytest.approx(3 / 4)
    assert found["accuracy_generation"] == pytest.approx(1 / 4)
    assert (found["pairs_regression"], found["pairs_generation"]) == (2, 2)
    assert found["accuracy_always"] == pytest.approx(4 / 10)  # four labels A, four B, two similar
    assert found["n_both_orders"] == 4
    assert found["order_flip_rate"] == pytest.approx(2 / 4)
    assert found["first_rate"] == pytest.approx(5 / 8)  # of A B, A A, A B, A, B
    assert found["similar_rate"] == pytest.approx(1 / 9)
    assert found["label_similar_rate"] == pytest.approx(2 / 10)
    assert found["valid_rate"] == pytest.approx(9 / 10)
    assert found["unreadable"] == found["failures"]["bad_choice"] == 1
    assert found["choices_by_label"][A] == {A: 2, B: 1, SIMILAR: 0, "unreadable": 1}
    assert found["choices_by_label"][SIMILAR] == {A: 1, B: 0, SIMILAR: 1, "unreadable": 0}


def test_intervals_draw_photographs() -> None:
    """Sources u, v, w have 3 of 4, 1 of 4 and 1 of 2 right."""
    interval = figures_of(RECORDS, None)["accuracy_interval"]
    assert interval["units"] == 3
    assert interval["low"] == pytest.approx(1 / 4)  # all of v, which 1 in 27 draws are
    assert interval["high"] == pytest.approx(3 / 4)
    assert figures_of(RECORDS, None)["accuracy_regression_interval"].startswith("undefined (1 clusters")


def test_pairs_of_no_named_photograph_are_draws_of_their_own_in_both_orders() -> None:
    records = [choice_record(A, A, pair=f"p{n}", swapped=swapped) for n in range(4) for swapped in (False, True)]
    assert figures_of(records, None)["accuracy_interval"]["units"] == 4


def test_mean_reward_and_table() -> None:
    assert figures_of(RECORDS, Rubric(terms={"match": MatchTerm(weight=2.0)}))["mean_reward"] == pytest.approx(1.0)
    header, first, *_, last = csv.reader(io.StringIO(answers_csv(RECORDS)))
    assert header == ["id", "pair", "swapped", "kind", "preference", "choice", "right", "sample"]
    assert first == ["u1", "u1", "0", "regression", A, A, "1", "0"]
    assert last == ["w1 swapped", "w1", "1", "", A, "", "0", "0"]


def test_several_answers_are_paired_sample_by_sample() -> None:
    records = [choice_record(A, A, sample=s) for s in range(2)]
    records += [choice_record(B, choice, swapped=True, sample=s) for s, choice in enumerate([B, A])]
    found = figures_of(records, None)
    assert (found["n"], found["n_pairs"], found["samples_per_image"], found["n_both_orders"]) == (2, 1, 2, 2)
    assert (found["accuracy"], found["order_flip_rate"]) == (0.75, 0.5)


def test_what_is_not_known_is_said() -> None:
    found = figures_of([choice_record(A, None)], None)
    assert found["accuracy"] == 0.0
    assert found["first_rate"] == "undefined (no answer prefers one)"
    assert found["order_flip_rate"] == "undefined (no pair has a readable answer in both orders)"
    with pytest.raises(DataError, match="no predictions"):
        figures_of([], None)


choices = st.sampled_from(CHOICES)


@given(st.lists(st.tuples(choices, st.none() | choices, st.none() | choices), min_size=1, max_size=8))
def test_changing_all_places_changes_nothing(answers: list[tuple[Choice, Choice | None, Choice | None]]) -> None:
    def figures(swap: bool) -> dict[str, object]:
        records = []
        for number, (label, straight, swapped) in enumerate(answers):
            one = both(f"p{number}", label, straight, swapped)
            if swap:
                shown = [(one[1], straight_of(one[1])), (one[0], straight_of(one[0]))]
                one = both(f"p{number}", MIRRORED[label], shown[0][1], shown[1][1])
            records += one
        found = preference_figures(records, n_resamples=10, seed=0)
        return {name: found[name] for name in ("accuracy", "order_flip_rate", "unreadable", "similar_rate")}

    def straight_of(record: Record) -> Choice | None:
        return record.choice

    assert figures(swap=False) == figures(swap=True)


def test_the_unreadable_come_first_then_the_wrong() -> None:
    ordered = wrong_first([choice_record(A, A), choice_record(A, B), choice_record(A, None)])
    assert [one.choice for one in ordered] == [None, B, A]


def test_records_keep_choice_and_pair() -> None:
    codec = RecordCodec()
    for one in RECORDS:
        line = codec.encode(one)
        assert (line["choice"], line["rating"], line["mos"]) == (one.choice, None, None)
        back = codec.decode(line)
        assert (back.example, back.choice, back.failure) == (one.example, one.choice, one.failure)


def question(first: str, second: str, *, before: tuple[ImageRef, ...] = ()) -> Example:
    images = (*before, ImageRef(path=f"/x/{first}.png"), ImageRef(view=second))
    return Example(id=f"{first} vs {second}", dataset="pairs", images=images, target=Preference(choice=A))


RATED = [
    record("a", rating=4.0),
    record("a", rating=3.0, sample=1),  # 3.5 on average
    record("b", rating=3.3),
    record("c", rating=None),
]


@pytest.mark.parametrize(("band", "choice"), [(0.0, A), (0.19, A), (0.2, SIMILAR)])
def test_the_higher_rating_is_the_choice_outside_the_band(band: float, choice: Choice) -> None:
    straight, swapped = choices_of_ratings([question("a", "b"), question("b", "a")], RATED, band=band)
    assert (straight.choice, swapped.choice) == (choice, MIRRORED[choice])


def rated_file(path: str, rating: float, *, id: str) -> Record:
    one = record(id, rating=rating)
    return replace(one, example=replace(one.example, images=(ImageRef(path=path),)))


@pytest.mark.parametrize("name", ["{}.png", "images/{}.png", "{}"])
def test_images_are_found_whatever_their_data_set_calls_them(name: str) -> None:
    """KADID's ids are names of files, a manifest's are paths, and a pair knows the file."""
    rated = [rated_file(f"/x/{one}.png", value, id=name.format(one)) for one, value in (("a", 4.0), ("b", 3.0))]
    asked = replace(question("a", "b"), images=(ImageRef(path="/y/a.png"), ImageRef(path="/y/b.png")))
    (found,) = choices_of_ratings([asked], rated, band=0.0)
    assert found.choice == A


def test_files_of_one_name_cannot_be_told_apart() -> None:
    rated = [rated_file(f"/{folder}/1.png", 3.0, id=f"{folder}/1.png") for folder in "ab"]
    with pytest.raises(DataError, match=r"two rated images are called 1, .*; rename a file"):
        choices_of_ratings([question("a", "b")], rated, band=0.0)


def test_a_reference_is_not_compared() -> None:
    (found,) = choices_of_ratings([question("a", "b", before=(ImageRef(view="c"),))], RATED, band=0.0)
    assert found.choice == A


def test_a_pair_with_an_unreadable_rating_has_no_choice() -> None:
    (found,) = choices_of_ratings([question("a", "c")], RATED, band=0.0)
    assert (found.choice, found.failure) == (None, "missing_answer")


def test_images_that_were_not_rated_are_named() -> None:
    with pytest.raises(DataError, match=r"1 of 2 images of the pairs were not rated(.|\n)*- d$"):
        choices_of_ratings([question("a", "d")], RATED, band=0.0)

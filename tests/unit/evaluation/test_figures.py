"""Figures over several trajectories an image, by hand; fixed subsets; what the closing table names."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from support.made_rollouts import reading, record
from zoom_iqa.base.errors import ConfigError, FailureReason
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Example, Mos, ParseFailure, Reading, Sample, rated_example
from zoom_iqa.data.subset import FixedSubset
from zoom_iqa.evaluation.figures import figures_of, ratings_by_image, ratings_csv
from zoom_iqa.evaluation.looks import look_figures
from zoom_iqa.evaluation.sharpness import decomposed_error
from zoom_iqa.evaluation.table import FIGURES, LOOKS, clipped_said, print_figures
from zoom_iqa.metrics.summary import Summary
from zoom_iqa.objectives.rewards.rubric import Rubric
from zoom_iqa.objectives.rewards.terms import RankTerm


def prediction(
    name: str,
    sample: int,
    rating: float | None,
    *,
    mos: float,
    rounds: int = 1,
    warning: FailureReason | None = None,
) -> Record:
    made = record(
        name, sample=sample, rating=rating, mos=mos, box=(0, 0, 9, 9) if rounds == 2 else None, warning=warning
    )
    if rating is not None:
        return made
    unread = replace(made.steps[-1], reading=reading(ParseFailure("bad_rating", ""), well_formed=False))
    return replace(made, steps=(unread,))


TWICE = [
    prediction("a", 0, 4.0, mos=4.5),
    prediction("a", 1, 5.0, mos=4.5, rounds=2),
    prediction("b", 0, None, mos=2.0, warning="bad_rating"),
    prediction("b", 1, 2.0, mos=2.0),
    prediction("c", 0, 4.0, mos=3.0, rounds=2),
    prediction("c", 1, 3.0, mos=3.0),
    prediction("e", 0, None, mos=1.0),
    prediction("e", 1, None, mos=1.0),
    prediction("f", 0, 1.5, mos=1.5),
    prediction("f", 1, 1.5, mos=1.5),
]


def test_correlations_are_of_mean_ratings() -> None:
    figures = figures_of(TWICE, None)
    means, mos = [4.5, 2.0, 3.5, 1.5], [4.5, 2.0, 3.0, 1.5]
    assert (figures["n"], figures["n_valid"], figures["samples_per_image"]) == (5, 4, 2)
    assert figures["srcc"] == pytest.approx(stats.spearmanr(means, mos).statistic)
    assert figures["plcc"] == pytest.approx(stats.pearsonr(means, mos).statistic)
    assert figures["rmse"] == pytest.approx(np.sqrt(0.25 / 4))


def test_rates_are_over_trajectories_and_diversity_over_first_ones() -> None:
    figures = figures_of(TWICE, None)
    assert figures["valid_rate"] == pytest.approx(7 / 10)
    assert figures["crop_rate"] == pytest.approx(2 / 10)
    assert figures["routing_warning_rate"] == pytest.approx(1 / 10)
    assert figures["failures"]["bad_rating"] == 3
    assert sum(figures["failures"].values()) == 3
    assert figures["unique_score_ratio"] == pytest.approx(2 / 5)  # 4.00 and 1.50 over five images
    assert figures["rating_spread"] == pytest.approx((0.5**0.5 + 0.5**0.5 + 0.0) / 3)


def test_clipped_ratings_are_counted_over_trajectories_and_labels_over_images() -> None:
    records = [
        prediction("a", 0, 7.2, mos=4.5),
        prediction("a", 1, 0.0, mos=4.5),
        prediction("b", 0, 3.0, mos=2.0),
        prediction("b", 1, None, mos=2.0),
    ]
    label = replace(records[2].example, target=Mos(mean=1.0, clipped=True))
    records[2:] = [replace(record, example=label) for record in records[2:]]
    figures = figures_of(records, None)
    assert (figures["clipped_ratings"], figures["clipped_labels"]) == (2, 1)
    assert figures["clipped_rating_rate"] == pytest.approx(2 / 3)
    assert figures["clipped_label_rate"] == pytest.approx(1 / 2)
    assert clipped_said(figures) == "2 ratings (66.7%) and 1 labels (50.0%) off the scale of 1 to 5, clipped to it"
    assert clipped_said(figures_of(TWICE, None)).startswith("0 ratings (0.0%) and 0 labels (0.0%) off")
    assert clipped_said({"n": 3}) == ""


def expecting(record: Record, *, mean: float, std: float = 0.5, mass: float = 1.0) -> Record:
    return replace(record, expected=RatingDistribution(mean=mean, std=std, mass=mass))


def test_expected_ratings_are_figures_of_their_own() -> None:
    """Their order is the truth's, which that of the ratings drawn from them is not."""
    drawn = [("a", 0, 2.0, 4.5), ("a", 1, 4.0, 4.5), ("b", 0, 2.0, 2.0), ("b", 1, 3.0, 2.0), ("c", 0, 4.0, 3.0)]
    records = [prediction(name, sample, rating, mos=mos) for name, sample, rating, mos in drawn]
    unread = prediction("c", 1, None, mos=3.0)
    expected = [(4.25, 0.5), (4.5, 0.7), (2.0, 0.3), (2.5, 0.4), (3.0, 0.6)]
    known = [expecting(r, mean=mean, std=std, mass=0.9) for r, (mean, std) in zip(records, expected, strict=True)]
    figures = figures_of([*known, unread], None)
    assert figures["n_expected"] == 3
    assert figures["srcc_expected"] == pytest.approx(1.0)
    assert figures["plcc_expected"] == pytest.approx(stats.pearsonr([4.375, 2.25, 3.0], [4.5, 2.0, 3.0]).statistic)
    assert figures["rmse_expected"] == pytest.approx(((0.125**2 + 0.25**2 + 0.0) / 3) ** 0.5)
    assert figures["expected_spread"] == pytest.approx((0.5 + 0.7 + 0.3 + 0.4 + 0.6) / 5)
    assert figures["digit_mass"] == pytest.approx(0.9)
    assert figures["srcc_expected_interval"]["units"] == 3
    assert figures["srcc"] == pytest.approx(0.5)
    assert not {name for name in figures_of([*records, unread], None) if "expected" in name}
    assert "a,4.5000,3.0000,1.4142,2,2,4.3750" in ratings_csv([*known, unread])


@pytest.mark.parametrize("figure", ["srcc_interval", "plcc_interval", "srcc_expected_interval"])
def test_intervals_draw_photographs(figure: str) -> None:
    records = []
    for number in range(12):
        rating = 1.0 + number % 5
        made = expecting(record(f"i{number}", rating=rating, mos=1.0 + number / 4), mean=rating)
        records.append(replace(made, example=replace(made.example, reference_id=f"photograph{number // 3}")))
    assert figures_of(records, None)[figure]["units"] == 4
    alone = [replace(r, example=replace(r.example, reference_id=None)) for r in records]
    assert figures_of(alone, None)[figure]["units"] == 12


def test_the_interval_of_expected_ratings_is_of_their_order() -> None:
    """Expected ratings in the very order of the scores, on no line with them: every resample's SRCC is 1."""
    means = (1.0, 1.1, 1.2, 1.3, 5.0)
    records = [expecting(record(f"i{n}", mos=1.0 + n), mean=mean) for n, mean in enumerate(means)]
    interval = figures_of(records, None)["srcc_expected_interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((1.0, 1.0))


def test_single_answers_are_the_mean_over_rounds() -> None:
    """The mean of two answers may be right where each of them is not."""
    ratings = {"a": (1.0, 2.0), "b": (3.0, 1.0), "c": (2.0, 5.0), "e": (5.0, 4.0)}
    mos = {"a": 1.0, "b": 2.0, "c": 3.0, "e": 4.0}
    records = [prediction(name, k, pair[k], mos=mos[name]) for name, pair in ratings.items() for k in range(2)]
    figures = figures_of(records, None)
    truth = list(mos.values())
    rounds = [[pair[k] for pair in ratings.values()] for k in range(2)]
    assert figures["srcc_single"] == pytest.approx(sum(stats.spearmanr(r, truth).statistic for r in rounds) / 2)
    assert figures["plcc_single"] == pytest.approx(sum(stats.pearsonr(r, truth).statistic for r in rounds) / 2)
    assert figures["rmse_single"] == pytest.approx((((0 + 1 + 1 + 1) / 4) ** 0.5 + ((1 + 1 + 4 + 0) / 4) ** 0.5) / 2)
    assert figures["srcc"] > figures["srcc_single"]
    assert "srcc_single" not in figures_of(records[::2], None)
    equal = [
        prediction(name, k, 3.0 if k else pair[0], mos=mos[name]) for name, pair in ratings.items() for k in (0, 1)
    ]
    assert figures_of(equal, None)["srcc_single"] == "undefined (all predictions are equal)"


def test_the_error_of_single_answers_is_squared_bias_and_variance() -> None:
    """By hand for a, from pairs; and for all, single answers' error is their sum."""
    ratings = {"a": (1.0, 2.0, 3.0), "b": (3.0, 1.0, 2.5), "c": (2.0, 5.0, 4.0), "e": (4.5, 4.5, 4.5)}
    mos = {"a": 1.5, "b": 2.0, "c": 3.0, "e": 4.0}
    records = [prediction(name, k, drawn[k], mos=mos[name]) for name, drawn in ratings.items() for k in range(3)]
    once = [prediction("f", k, None if k else 3.0, mos=5.0) for k in range(3)]
    alone = figures_of([*records[:3], *once], None)
    assert alone["squared_bias"] == pytest.approx((-0.5 * 0.5 + -0.5 * 1.5 + 0.5 * 1.5) / 3)  # f has one answer
    assert alone["rating_variance"] == pytest.approx(1.0)
    figures = figures_of(records, None)
    errors = [(r.rating - r.example.mos) ** 2 for r in records if r.rating is not None]
    assert figures["squared_bias"] + figures["rating_variance"] == pytest.approx(sum(errors) / 12)
    assert figures["squared_bias"] < figures["rmse"] ** 2
    nothing = figures_of([prediction("f", k, 3.0 if k else None, mos=5.0) for k in range(2)], None)
    assert nothing["squared_bias"] == nothing["rating_variance"] == "undefined (no image has two readable ratings)"


@given(bias=st.floats(-1, 1), spread=st.floats(0.1, 0.5), count=st.integers(2, 4))
def test_squared_bias_is_right_on_average(bias: float, spread: float, count: int) -> None:
    """Over all ways to draw a few answers from two equally likely ratings, its mean is the square of their bias."""
    two = (3.0 + bias - spread, 3.0 + bias + spread)
    found = []
    for drawn in itertools.product(two, repeat=count):
        records = [prediction("a", k, rating, mos=3.0) for k, rating in enumerate(drawn)]
        found.append(decomposed_error([records]))
    mean = {key: sum(figures[key] for figures in found) / len(found) for key in found[0]}
    assert mean["squared_bias"] == pytest.approx(bias**2, abs=1e-9)
    assert mean["rating_variance"] == pytest.approx(spread**2, abs=1e-9)


def test_order_of_trajectories_does_not_matter_and_one_is_as_before() -> None:
    assert figures_of([*TWICE[1::2], *TWICE[::2]], None) == figures_of(TWICE, None)
    figures = figures_of([p for p in TWICE if p.sample == 0], None)
    assert figures["samples_per_image"] == 1
    assert "rating_spread" not in figures
    assert figures["crop_rate"] == pytest.approx(1 / 5)


def test_a_reward_ranks_one_answer_of_every_image() -> None:
    """First answers are in the order of the scores and earn 1, second ones are reversed and earn 0."""
    ratings = {"a": (4.0, 2.0), "b": (2.0, 4.0)}
    records = [prediction(name, k, ratings[name][k], mos=ratings[name][0]) for name in "ab" for k in range(2)]
    rubric = Rubric(terms={"rank": RankTerm(weight=1.0, eps=1e-6, preference="ordinal")})
    assert figures_of(records, rubric)["mean_reward"] == pytest.approx(0.5)


def test_scores_file_keeps_mean_and_spread() -> None:
    rows = list(csv.DictReader(io.StringIO(ratings_csv(TWICE))))
    assert [row["id"] for row in rows] == ["a", "b", "c", "e", "f"]
    assert rows[0] == {
        "id": "a",
        "mos": "4.5000",
        "rating": "4.5000",
        "spread": "0.7071",
        "readable": "2",
        "trajectories": "2",
        "expected": "",
    }
    assert (rows[1]["rating"], rows[1]["spread"], rows[1]["readable"]) == ("2.0000", "", "1")
    assert (rows[3]["rating"], rows[3]["readable"]) == ("", "0")


@pytest.mark.parametrize(
    ("rating", "written"),
    [(0.00123456, "0.001235"), (-0.00123456, "-0.001235"), (0.0123456, "0.0123"), (0.0, "0.0000"), (-8.0, "-8.0000")],
)
def test_a_small_score_on_a_scale_of_its_own_keeps_four_digits(rating: float, written: str) -> None:
    made = record("a", mos=3.0)
    read = replace(made.steps[0], reading=Reading(values={"rating": rating}, well_formed=True))
    assert ratings_csv([replace(made, steps=(read,))]).splitlines()[1] == f"a,3.0000,{written},,1,1,"


def test_trajectories_are_in_order_of_their_number() -> None:
    first, *_ = ratings_by_image([TWICE[1], TWICE[0]])
    assert [p.sample for p in first.trajectories] == [0, 1]


def test_the_table_names_every_figure_and_every_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = set(FIGURES.values())
    fields = set(Summary.__dataclass_fields__) - {"score_histogram", "mos_histogram"}
    good = figures_of([expecting(record, mean=1.0 + number / 4) for number, record in enumerate(TWICE)], None)
    assert set(LOOKS.values()) == look_figures(TWICE).keys()
    assert fields | (good.keys() - {"score_histogram", "mos_histogram", *LOOKS.values()}) == shown
    print_figures({"good": good, "poor": figures_of(TWICE[6:8], None)}, tmp_path)
    said = capsys.readouterr().out
    assert all(title in said for title in FIGURES)
    assert "bad_rating 3" in said
    assert "poor: undefined (0 images, at least 3 are needed): SRCC; " in said
    assert "nan" not in said


class Numbered:
    """Images whose pixels are their number."""

    def __init__(self, count: int) -> None:
        self._count = count

    def items(self) -> list[Example]:
        return [rated_example(id=str(number), dataset="d", mos=3.0) for number in range(self._count)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return Sample.of(self.items()[index], Image.new("L", (1, 1), index))


def test_a_subset_is_fixed_in_order_and_grows_with_its_limit() -> None:
    chosen = {limit: [item.id for item in FixedSubset(dataset=Numbered(50), limit=limit).items()] for limit in (5, 20)}
    assert len(chosen[5]) == 5
    assert set(chosen[5]) < set(chosen[20])
    assert chosen[20] == sorted(chosen[20], key=int)
    assert chosen[20] != [str(number) for number in range(20)]
    images = FixedSubset(dataset=Numbered(50), limit=5)
    assert [images[index].image.getpixel((0, 0)) for index in range(len(images))] == [int(name) for name in chosen[5]]


def test_no_limit_or_a_large_one_keeps_all() -> None:
    for limit in (None, 3, 99):
        assert [item.id for item in FixedSubset(dataset=Numbered(3), limit=limit).items()] == ["0", "1", "2"]
    with pytest.raises(ConfigError, match="limit=0"):
        FixedSubset(dataset=Numbered(3), limit=0)

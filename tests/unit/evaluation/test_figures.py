"""Figures over several trajectories an image, by hand; fixed subsets; what the closing table names."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from support.made_rollouts import reading, record
from zoom_iqa.base.errors import ConfigError, FailureReason
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Example, Mos, ParseFailure, Sample, rated_example
from zoom_iqa.data.subset import FixedSubset
from zoom_iqa.evaluation.figures import figures_of, ratings_by_image, ratings_csv
from zoom_iqa.evaluation.table import FIGURES, clipped_said, print_figures
from zoom_iqa.metrics.summary import Summary


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


def test_order_of_trajectories_does_not_matter_and_one_is_as_before() -> None:
    assert figures_of([*TWICE[1::2], *TWICE[::2]], None) == figures_of(TWICE, None)
    figures = figures_of([p for p in TWICE if p.sample == 0], None)
    assert figures["samples_per_image"] == 1
    assert "rating_spread" not in figures
    assert figures["crop_rate"] == pytest.approx(1 / 5)


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
    }
    assert (rows[1]["rating"], rows[1]["spread"], rows[1]["readable"]) == ("2.0000", "", "1")
    assert (rows[3]["rating"], rows[3]["readable"]) == ("", "0")


def test_trajectories_are_in_order_of_their_number() -> None:
    first, *_ = ratings_by_image([TWICE[1], TWICE[0]])
    assert [p.sample for p in first.trajectories] == [0, 1]


def test_the_table_names_every_figure_and_every_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = set(FIGURES.values())
    fields = set(Summary.__dataclass_fields__) - {"score_histogram", "mos_histogram"}
    assert fields | {"samples_per_image", "rating_spread", "pair_accuracy", "pair_accuracy_sd"} == shown
    print_figures({"good": figures_of(TWICE, None), "poor": figures_of(TWICE[6:8], None)}, tmp_path)
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

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.metrics.correlation import plcc, rmse, srcc
from zoom_iqa.metrics.fits import plcc_logistic4
from zoom_iqa.metrics.summary import ImageOutcome, summarize
from zoom_iqa.metrics.undefined import Undefined


def outcome(rating, mos, cropped=False, well_formed=True, warning=None):
    return ImageOutcome(rating=rating, mos=mos, cropped=cropped, well_formed=well_formed, routing_warning=warning)


def failure(reason, mos):
    return outcome(ParseFailure(reason, "detail"), mos, well_formed=False, warning=reason)


RNG = np.random.default_rng(0)
MOS = RNG.uniform(1, 5, 40).round(2).tolist()
RATINGS = [float(r) for r in np.clip(np.array(MOS) + RNG.normal(0, 0.6, 40), 1, 5).round(1)]
VALID = [outcome(r, m, cropped=i % 4 == 0) for i, (r, m) in enumerate(zip(RATINGS, MOS, strict=True))]
FAILED = [failure("missing_answer", 4.5), failure("missing_answer", 1.5), failure("bad_rating", 4.0)]


def test_figures_leave_failures_out_and_count_them_beside():
    summary = summarize(VALID + FAILED, n_resamples=100, seed=0)
    assert (summary.n, summary.n_valid) == (43, 40)
    assert summary.srcc == srcc(RATINGS, MOS)
    assert summary.plcc == plcc(RATINGS, MOS)
    assert summary.plcc_logistic4 == plcc_logistic4(RATINGS, MOS)
    assert summary.rmse == rmse(RATINGS, MOS)
    assert summary.valid_rate == pytest.approx(40 / 43)
    assert summary.format_rate == pytest.approx(40 / 43)
    assert summary.crop_rate == pytest.approx(10 / 43)
    assert summary.routing_warning_rate == pytest.approx(3 / 43)
    assert summary.failures == {
        "missing_answer": 2,
        "malformed_json": 0,
        "bad_rating": 1,
        "bad_choice": 0,
        "bad_bbox": 0,
        "bad_tool": 0,
        "unviewable": 0,
        "no_score": 0,
    }
    assert summary.unique_score_ratio == pytest.approx(len(set(RATINGS)) / 43)
    assert sum(summary.score_histogram) == 40
    assert sum(summary.mos_histogram) == 43


def test_the_truths_own_ratio_is_of_all_images():
    unreadable = failure("missing_answer", 4.0)
    summary = summarize([outcome(m, m) for m in (1.0, 2.0, 3.0)] + [unreadable], n_resamples=10, seed=0)
    assert (summary.unique_score_ratio, summary.unique_mos_ratio) == (0.75, 1.0)


def test_intervals_draw_photographs():
    """Twelve images of four photographs; the same without names are twelve."""
    images = VALID[:12]
    of_four = [replace(image, cluster=f"photograph{number // 3}") for number, image in enumerate(images)]
    for outcomes, units in ((of_four, 4), (images, 12)):
        summary = summarize(outcomes, n_resamples=10, seed=0)
        assert (summary.srcc_interval.units, summary.plcc_interval.units) == (units, units)


def test_a_reason_of_a_tasks_own_is_counted_behind_the_known_ones():
    summary = summarize([*VALID, *FAILED, failure("bad_word", 2.0)], n_resamples=100, seed=0)
    assert list(summary.failures.items())[-2:] == [("no_score", 0), ("bad_word", 1)]
    assert (summary.failures["missing_answer"], summary.failures["bad_rating"]) == (2, 1)


def test_what_was_clipped_is_counted_beside_the_figures():
    off_scale = [
        ImageOutcome(rating=5.0, mos=4.0, cropped=False, well_formed=True, routing_warning=None, rating_clipped=True),
        ImageOutcome(rating=4.0, mos=5.0, cropped=False, well_formed=True, routing_warning=None, label_clipped=True),
    ]
    summary = summarize([*VALID, *off_scale, *off_scale[1:], *FAILED], n_resamples=10, seed=0)
    assert (summary.clipped_ratings, summary.clipped_labels) == (1, 2)
    assert summary.clipped_rating_rate == pytest.approx(1 / 43)  # of readable ratings
    assert summary.clipped_label_rate == pytest.approx(2 / 46)  # of images
    assert summarize(FAILED, n_resamples=10, seed=0).clipped_rating_rate == 0.0


def test_second_figure_counts_failures_as_the_midpoint():
    summary = summarize(VALID + FAILED, n_resamples=10, seed=0)
    ratings, mos = [*RATINGS, 3.0, 3.0, 3.0], [*MOS, 4.5, 1.5, 4.0]
    assert summary.srcc_midpoint == srcc(ratings, mos)
    assert summary.plcc_midpoint == plcc(ratings, mos)
    assert summary.srcc_midpoint != summary.srcc


def test_a_rating_may_survive_a_bad_route():
    summary = summarize([*VALID, outcome(3.0, 3.0, well_formed=False, warning="bad_tool")], n_resamples=10, seed=0)
    assert summary.valid_rate == 1.0
    assert summary.format_rate == pytest.approx(40 / 41)
    assert summary.failures["bad_tool"] == 0
    assert summary.routing_warnings["bad_tool"] == 1


def test_constant_predictions_have_named_undefined_correlations():
    summary = summarize([outcome(3.0, m) for m in MOS], n_resamples=10, seed=0)
    assert summary.srcc == Undefined("all predictions are equal")
    assert summary.srcc_interval == Undefined("all predictions are equal")
    assert summary.rmse == rmse([3.0] * 40, MOS)


def test_nothing_valid():
    summary = summarize(FAILED, n_resamples=10, seed=0)
    assert summary.n_valid == 0
    assert str(summary.plcc) == "undefined (0 images, at least 3 are needed)"
    assert str(summary.rmse) == "undefined (0 images, at least 1 are needed)"
    assert summary.unique_score_ratio == 0.0
    assert summary.srcc_midpoint == Undefined("all predictions are equal")


@pytest.mark.parametrize("outcomes", [VALID, VALID + FAILED, FAILED, [outcome(3.0, 2.0)]])
def test_json_is_strict_and_complete(outcomes):
    summary = summarize(outcomes, n_resamples=20, seed=0)
    read = json.loads(json.dumps(summary.as_dict(), allow_nan=False))
    assert set(read) == set(summary.__dataclass_fields__)
    for name, value in read.items():
        if isinstance(value, str):
            assert value.startswith("undefined ("), name


def test_json_of_numbers_and_intervals():
    read = summarize(VALID, n_resamples=20, seed=0).as_dict()
    assert read["srcc"] == srcc(RATINGS, MOS)
    assert read["srcc_interval"]["low"] < read["srcc"] < read["srcc_interval"]["high"]
    assert read["srcc_interval"]["level"] == 0.95


def test_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="split is empty"):
        summarize([], n_resamples=10, seed=0)


def test_a_rating_that_is_not_finite_is_an_error():
    with pytest.raises(DataError, match="finite"):
        summarize([*VALID, outcome(math.nan, 3.0)], n_resamples=10, seed=0)

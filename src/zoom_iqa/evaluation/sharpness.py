"""Figures that tell better answers from sharper ones.

A policy that judges no better but draws less at random gains in single answers. Its rating is drawn twice: the words
before it, and then its digits. Expected ratings leave out the second draw alone, exactly. Several answers of an image
tell both from judgement: the mean squared error of single answers is the squared bias, that of the mean of ever more
answers, plus the variance within images.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from zoom_iqa.base.records import Record
from zoom_iqa.metrics.correlation import plcc, rmse, srcc
from zoom_iqa.metrics.intervals import bootstrap_interval
from zoom_iqa.metrics.undefined import mean_or_reason, value_or_reason

Figures = dict[str, Any]
TOO_FEW = "no image has two readable ratings"
SINGLE = {"srcc_single": srcc, "plcc_single": plcc, "rmse_single": rmse}
EXPECTED = {"srcc_expected": srcc, "plcc_expected": plcc, "rmse_expected": rmse}


def single_figures(rounds: Sequence[Sequence[Record]]) -> Figures:
    """Agreement of single answers where images have several: the mean over ``rounds``, each an answer an image."""
    figures: Figures = {}
    for name, metric in SINGLE.items():
        values: list[Any] = []
        for records in rounds:
            rated = [(record.rating, record.example.mos) for record in records if record.rating is not None]
            values.append(value_or_reason(metric, [rating for rating, _ in rated], [mos for _, mos in rated]))
        undefined = [value for value in values if isinstance(value, str)]
        figures[name] = undefined[0] if undefined else statistics.fmean(values)
    return figures


def decomposed_error(images: Sequence[Sequence[Record]]) -> Figures:
    """Squared bias and variance of an image's answers, each a mean over the images with two readable ratings or more.

    Of k ratings r of an image with score m, the bias squared is estimated by the mean over pairs of (r - m)(r' - m),
    that is (mean - m)^2 - variance / k: right on average for every k, where the error of the mean is too large.
    """
    biases, variances = [], []
    for records in images:
        ratings = [record.rating for record in records if record.rating is not None]
        if len(ratings) > 1:
            variance = statistics.variance(ratings)
            variances.append(variance)
            biases.append((statistics.fmean(ratings) - records[0].example.mos) ** 2 - variance / len(ratings))
    return {"squared_bias": mean_or_reason(biases, TOO_FEW), "rating_variance": mean_or_reason(variances, TOO_FEW)}


def expected_figures(images: Sequence[Sequence[Record]], *, n_resamples: int, seed: int) -> Figures:
    """Agreement of expected ratings, an image's being the mean over its answers that have one, and their spread.

    ``n_resamples`` and ``seed`` are those of the bootstrap interval, which draws photographs as that of ratings does.
    There are no figures where no record has an expected rating, as with peers.
    """
    known = [[record.expected for record in records if record.expected is not None] for records in images]
    answers = [expected for own in known for expected in own]
    if not answers:
        return {}
    rated = [(records[0].example, own) for records, own in zip(images, known, strict=True) if own]
    ratings = [statistics.fmean(expected.mean for expected in own) for _, own in rated]
    mos = [example.mos for example, _ in rated]
    clusters = [example.reference_id or number for number, (example, _) in enumerate(rated)]

    def interval(ratings: list[float], mos: list[float]) -> dict[str, Any]:
        found = bootstrap_interval(ratings, mos, metric="srcc", n_resamples=n_resamples, seed=seed, clusters=clusters)
        return asdict(found)

    return {
        "n_expected": len(rated),
        **{name: value_or_reason(metric, ratings, mos) for name, metric in EXPECTED.items()},
        "srcc_expected_interval": value_or_reason(interval, ratings, mos),
        "expected_spread": statistics.fmean(expected.std for expected in answers),
        "digit_mass": statistics.fmean(expected.mass for expected in answers),
    }

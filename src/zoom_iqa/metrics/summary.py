"""One record that says how a policy did on a set of images, safe to write as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from zoom_iqa.base.errors import FAILURE_REASONS, PEER_REASONS, DataError, FailureReason
from zoom_iqa.base.targets import RATING_MIDDLE
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.metrics import correlation, fits
from zoom_iqa.metrics.diversity import rating_histogram, unique_score_ratio
from zoom_iqa.metrics.intervals import Correlation, Interval, bootstrap_interval
from zoom_iqa.metrics.undefined import Undefined, Value, value_or_undefined

HISTOGRAM_BINS = 16
"""Bins of a quarter point over 1-5."""


@dataclass(frozen=True, kw_only=True)
class ImageOutcome:
    """One image as evaluation counts it: the rating or why there is none, the score, and how the rating came about.

    ``rating`` and ``mos`` are on 1-5. ``cluster`` names the photograph an image is made of: intervals draw photographs.
    The two that are clipped lay off that scale.
    """

    rating: float | ParseFailure
    mos: float
    cropped: bool
    well_formed: bool
    routing_warning: FailureReason | None
    rating_clipped: bool = False
    label_clipped: bool = False
    cluster: str | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures over ``n`` images, of which ``n_valid`` have a readable rating.

    Correlations and rmse leave unreadable answers out; the ``_midpoint`` ones count them as 3.0. Rates are fractions of
    all images: ``valid_rate`` of readable ratings, ``format_rate`` of answers whose every turn is well formed.
    ``unique_score_ratio`` stands beside the truth's own, ``unique_mos_ratio``. Intervals draw photographs where images
    are made of them. Ratings and labels that lay off the scale are counted, and their rate is that among readable
    ratings and among images. ``failures`` and ``routing_warnings`` are counts by reason, zeros included.
    """

    n: int
    n_valid: int
    srcc: Value
    plcc: Value
    plcc_logistic4: Value
    plcc_isotonic: Value
    srcc_isotonic: Value
    krcc: Value
    rmse: Value
    srcc_interval: Interval | Undefined
    plcc_interval: Interval | Undefined
    srcc_midpoint: Value
    plcc_midpoint: Value
    unique_score_ratio: float
    unique_mos_ratio: float
    clipped_ratings: int
    clipped_rating_rate: float
    clipped_labels: int
    clipped_label_rate: float
    valid_rate: float
    format_rate: float
    crop_rate: float
    routing_warning_rate: float
    failures: dict[FailureReason, int]
    routing_warnings: dict[FailureReason, int]
    score_histogram: tuple[int, ...]
    mos_histogram: tuple[int, ...]

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON values under the field names; an undefined metric is the text "undefined (reason)"."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def summarize(outcomes: Sequence[ImageOutcome], *, n_resamples: int, seed: int) -> Summary:
    """Compute every figure; ``n_resamples`` and ``seed`` are those of the bootstrap intervals.

    Raises:
        DataError: there are no images, or a rating or MOS is not finite.
    """
    n = len(outcomes)
    if n == 0:
        raise DataError("there are no predictions to summarise; the evaluated split is empty")
    valid = [(o.rating, o.mos) for o in outcomes if not isinstance(o.rating, ParseFailure)]
    scores, mos = [rating for rating, _ in valid], [target for _, target in valid]
    all_mos = [o.mos for o in outcomes]
    clusters = [o.cluster or index for index, o in enumerate(outcomes) if not isinstance(o.rating, ParseFailure)]
    # in the second figure an unreadable answer has the middle of the scale
    imputed = [RATING_MIDDLE if isinstance(o.rating, ParseFailure) else o.rating for o in outcomes]

    def interval(metric: Correlation) -> Interval | Undefined:
        return value_or_undefined(
            bootstrap_interval, scores, mos, metric=metric, n_resamples=n_resamples, seed=seed, clusters=clusters
        )

    return Summary(
        n=n,
        n_valid=len(valid),
        srcc=value_or_undefined(correlation.srcc, scores, mos),
        plcc=value_or_undefined(correlation.plcc, scores, mos),
        plcc_logistic4=value_or_undefined(fits.plcc_logistic4, scores, mos),
        plcc_isotonic=value_or_undefined(fits.plcc_isotonic, scores, mos),
        srcc_isotonic=value_or_undefined(fits.srcc_isotonic, scores, mos),
        krcc=value_or_undefined(correlation.krcc, scores, mos),
        rmse=value_or_undefined(correlation.rmse, scores, mos),
        srcc_interval=interval("srcc"),
        plcc_interval=interval("plcc"),
        srcc_midpoint=value_or_undefined(correlation.srcc, imputed, all_mos),
        plcc_midpoint=value_or_undefined(correlation.plcc, imputed, all_mos),
        unique_score_ratio=unique_score_ratio(scores, n_images=n),
        unique_mos_ratio=unique_score_ratio(all_mos, n_images=n),
        clipped_ratings=(ratings := sum(o.rating_clipped for o in outcomes)),
        clipped_rating_rate=ratings / len(valid) if valid else 0.0,
        clipped_labels=(labels := sum(o.label_clipped for o in outcomes)),
        clipped_label_rate=labels / n,
        valid_rate=len(valid) / n,
        format_rate=sum(o.well_formed for o in outcomes) / n,
        crop_rate=sum(o.cropped for o in outcomes) / n,
        routing_warning_rate=sum(o.routing_warning is not None for o in outcomes) / n,
        failures=counts_by_reason(
            (o.rating.reason for o in outcomes if isinstance(o.rating, ParseFailure)),
            known=FAILURE_REASONS + PEER_REASONS,
        ),
        routing_warnings=counts_by_reason((o.routing_warning for o in outcomes), known=FAILURE_REASONS),
        score_histogram=rating_histogram(scores, n_bins=HISTOGRAM_BINS),
        mos_histogram=rating_histogram(all_mos, n_bins=HISTOGRAM_BINS),
    )


def counts_by_reason(
    found: Iterable[FailureReason | None], *, known: Sequence[FailureReason]
) -> dict[FailureReason, int]:
    """How often each reason was given: the known ones, also those that were not, then those of a task's own."""
    counted = Counter(reason for reason in found if reason is not None)
    return {reason: counted[reason] for reason in (*known, *sorted(counted.keys() - set(known)))}


def _plain(value: object) -> object:
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, Interval):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple):
        return list(value)
    return value

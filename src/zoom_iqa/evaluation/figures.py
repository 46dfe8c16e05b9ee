"""Predictions -> the figures of a run: the metric summary, and the mean reward the rubric gives them."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoom_iqa.base.errors import FAILURE_REASONS, PEER_REASONS, ConfigError, DataError, FailureReason
from zoom_iqa.base.records import Record, by_image
from zoom_iqa.base.targets import Mos, Preference
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.evaluation.likeness import likeness_figures
from zoom_iqa.evaluation.looks import look_figures
from zoom_iqa.evaluation.preferences import preference_figures, preferences_csv
from zoom_iqa.evaluation.probe_figures import caption_figures, probe_figures
from zoom_iqa.evaluation.sharpness import TOO_FEW, decomposed_error, expected_figures, single_figures
from zoom_iqa.metrics.diversity import unique_score_ratio
from zoom_iqa.metrics.ordering import pair_accuracy
from zoom_iqa.metrics.summary import ImageOutcome, counts_by_reason, summarize
from zoom_iqa.metrics.undefined import mean_or_reason, value_or_reason
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.parallel.reducer import LocalReducer

StageMetrics = dict[str, Any]
DECIDING = ("pair_accuracy", "srcc_midpoint", "plcc_midpoint", "accuracy", "valid_rate", "format_rate", "mean_reward")
"""Figures by which something may be chosen: unreadable answers count in them. The other correlations leave them out."""
BOOTSTRAP_RESAMPLES = 1000
BOOTSTRAP_SEED = 0
SMALL = 0.01
"""A score below it says little in four decimals."""


@dataclass(frozen=True)
class ImageRatings:
    """The trajectories of one image, in order: its rating is the mean of those that have one."""

    trajectories: tuple[Record, ...]

    @property
    def ratings(self) -> tuple[float, ...]:
        """The ratings that could be read."""
        return tuple(t.rating for t in self.trajectories if t.rating is not None)

    @property
    def rating(self) -> float | None:
        """Their mean, None where there is none."""
        return statistics.fmean(self.ratings) if self.ratings else None

    @property
    def expected(self) -> float | None:
        """The mean of the expected ratings of those that have one, None where there is none."""
        known = [t.expected.mean for t in self.trajectories if t.expected is not None]
        return statistics.fmean(known) if known else None

    @property
    def spread(self) -> float | None:
        """Their standard deviation, None with fewer than two."""
        return statistics.stdev(self.ratings) if len(self.ratings) > 1 else None


def ratings_by_image(records: Sequence[Record]) -> list[ImageRatings]:
    """Predictions by image, in the order in which images first occur."""
    return [ImageRatings(tuple(sorted(group, key=lambda p: p.sample))) for group in by_image(records).values()]


def compares(records: Sequence[Record]) -> bool:
    """Whether records are of comparisons, whose examples have a preference in place of a score."""
    return isinstance(records[0].example.target, Preference)


def figures_of(records: Sequence[Record], rubric: Rubric | None) -> StageMetrics:
    """JSON-safe figures over records, by what people said of their examples; ``mean_reward`` where a rubric is given.

    Raises:
        DataError: there are no records, or an example has neither a score nor a preference.
    """
    if not records:
        raise DataError("there are no predictions to summarise; the evaluated split is empty")
    if compares(records):
        figures = preference_figures(records, n_resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED)
    else:
        figures = rating_figures(records)
    if rubric is not None:
        by_sample = _by_sample(records)
        figures["mean_reward"] = statistics.fmean(mean_reward(one_each, rubric) for one_each in by_sample)
    return figures


def answers_csv(records: Sequence[Record]) -> str:
    """The table beside the records: a line for each image rated, or each answer to a comparison."""
    return preferences_csv(records) if compares(records) else ratings_csv(records)


def rating_figures(records: Sequence[Record]) -> StageMetrics:
    """JSON-safe figures of ratings.

    Where images have several trajectories, correlations, rmse and histograms are of their mean ratings; rates and
    counts by reason are over trajectories; the unique-score ratio is that of first trajectories, because means take
    more values than scores do; ``rating_spread`` is the mean standard deviation within an image. ``pair_accuracy`` is
    of single trajectories. Figures of single answers and of expected ratings stand beside them (``sharpness.py``).
    """
    images = ratings_by_image(records)
    summary = summarize([_outcome(image) for image in images], n_resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED)
    figures: StageMetrics = summary.as_dict()
    trajectories = [image.trajectories for image in images]
    figures["samples_per_image"] = max(len(image.trajectories) for image in images)
    figures |= _ordering(images)
    if figures["samples_per_image"] > 1:
        figures |= _over_trajectories(records, images)
        figures |= single_figures(_by_sample(records)) | decomposed_error(trajectories)
    figures |= expected_figures(trajectories, n_resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED)
    figures |= probe_figures(trajectories, n_resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED)
    figures |= caption_figures(records) | likeness_figures(records)
    figures |= look_figures(records)
    return figures


def mean_reward(records: Sequence[Record], rubric: Rubric) -> float:
    """Mean total reward with the weights of step 0, each image a group of one and ranked against all others.

    What a term pays for being rare in its group (``reward.look``) is 0 in a group of one, and so not in it.

    Raises:
        ConfigError: a term of the reward is not finite.
    """
    rewards = rubric.rewards(RewardInputs(tuple((record,) for record in records), LocalReducer()), step=0)
    for name, rows in rewards.not_finite.items():
        raise ConfigError(
            f"reward.{name} is not finite for {records[rows[0]].example.name} ({len(rows)} of {len(records)} images); "
            "give such answers 0"
        )
    return float(rewards.total_BG.mean())


def ratings_csv(records: Sequence[Record]) -> str:
    """One line per image: its truth, its rating, the spread and number of the readable trajectories it is of, and the
    rating expected.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "mos", "rating", "spread", "readable", "trajectories", "expected"])
    for image in ratings_by_image(records):
        first, total = image.trajectories[0], len(image.trajectories)
        numbers = [first.example.mos, image.rating, image.spread, image.expected]
        *written, expected = map(_written, numbers)
        writer.writerow([first.example.id, *written, len(image.ratings), total, expected])
    return text.getvalue()


def _written(number: float | None) -> str:
    """Four decimals; of scores on a small scale of their own four digits that count, so that they stay apart."""
    if number is None:
        return ""
    return f"{number:.4g}" if 0 < abs(number) < SMALL else f"{number:.4f}"


def _outcome(image: ImageRatings) -> ImageOutcome:
    first, rating = image.trajectories[0], image.rating
    return ImageOutcome(
        rating=ParseFailure(_failure(first), "") if rating is None else rating,
        mos=first.example.mos,
        cropped=first.cropped,
        well_formed=first.well_formed,
        routing_warning=first.ending.failure,
        rating_clipped=first.clipped,
        label_clipped=isinstance(first.example.target, Mos) and first.example.target.clipped,
        cluster=first.example.reference_id,
    )


def _ordering(images: Sequence[ImageRatings]) -> StageMetrics:
    ratings = [[math.nan if t.rating is None else t.rating for t in image.trajectories] for image in images]
    found = value_or_reason(pair_accuracy, ratings, [image.trajectories[0].example.mos for image in images])
    if isinstance(found, str):
        return {"pair_accuracy": found}
    return {"pair_accuracy": found.value} | ({} if found.sd is None else {"pair_accuracy_sd": found.sd})


def _failure(record: Record) -> FailureReason:
    assert record.failure is not None, "a record has a rating or says why not"
    return record.failure


def _by_sample(records: Sequence[Record]) -> list[list[Record]]:
    """One trajectory of every image, as often as there are several."""
    samples = sorted({p.sample for p in records})
    return [[p for p in records if p.sample == sample] for sample in samples]


def _over_trajectories(records: Sequence[Record], images: Sequence[ImageRatings]) -> StageMetrics:
    """The figures that are about single trajectories where images have several."""
    n = len(records)
    first_ratings = [image.trajectories[0].rating for image in images]
    readable, clipped = sum(p.rating is not None for p in records), sum(p.clipped for p in records)
    spreads = [image.spread for image in images if image.spread is not None]
    return {
        "unique_score_ratio": unique_score_ratio([r for r in first_ratings if r is not None], n_images=len(images)),
        "rating_spread": mean_or_reason(spreads, TOO_FEW),
        "clipped_ratings": clipped,
        "clipped_rating_rate": clipped / readable if readable else 0.0,
        "valid_rate": readable / n,
        "format_rate": sum(p.well_formed for p in records) / n,
        "crop_rate": sum(p.cropped for p in records) / n,
        "routing_warning_rate": sum(p.ending.failure is not None for p in records) / n,
        "failures": counts_by_reason((p.failure for p in records), known=FAILURE_REASONS + PEER_REASONS),
        "routing_warnings": counts_by_reason((p.ending.failure for p in records), known=FAILURE_REASONS),
    }

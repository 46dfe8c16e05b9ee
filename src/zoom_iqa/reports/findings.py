"""The sentences that a run's page begins with: what its figures say, and what in them asks for a second look."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoom_iqa.base.records import Record
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.evaluation.figures import BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED, ImageRatings
from zoom_iqa.metrics.differences import CorrelationDifference, correlation_difference
from zoom_iqa.metrics.intervals import Interval
from zoom_iqa.metrics.undefined import Undefined, value_or_undefined
from zoom_iqa.reports.contents import Judged, LogRow, RunContents, last_of_each
from zoom_iqa.reports.numbers import ends_said

Kind = Literal["plain", "good", "watch"]

FEW_VALUES = 0.5
"""Scores that take fewer values than this share of those of the MOS are said to be few."""
MANY_UNREADABLE = 0.02
"""A share of unreadable answers from which on it is said."""
SHIFT = 0.25
"""A mean difference of rating and MOS from which on it is said: half the step between two verdicts of people."""
NO_CHANGE = 0.01
"""A difference of ratings up to which they are the same; pages draw the same line."""
AT_THE_ENDS = 5
"""Steps at the beginning and at the end of a log whose means are compared."""


@dataclass(frozen=True)
class Finding:
    """A sentence, and whether it is plain, good news, or asks for a look."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Looking:
    """How ratings moved where a trajectory looked closer: nearer to the MOS, away from it, or not at all."""

    helped: int
    hurt: int
    same: int


def findings_of(contents: RunContents) -> list[Finding]:
    """The sentences about a run, the most telling first."""
    said = [_agreement(judged) for judged in contents.judged]
    if contents.run.trained:
        for pair in zip(contents.judged, contents.judged[1:], strict=False):
            said += [change(*pair), *sharpness(*pair)]
    for last in last_of_each(contents.judged):
        for sentence in (_variety, _unreadable, _shift, _looks):
            said += sentence(last)
    for stage, rows in contents.logs.items():
        said += _learning(stage, rows)
    return said


def first_rating(record: Record) -> float | None:
    """The rating of a trajectory's first turn."""
    rating = record.steps[0].reading.rating
    return None if isinstance(rating, ParseFailure) else rating


def gain(record: Record) -> float | None:
    """How much nearer to the MOS the last rating is than the first, of a trajectory that looked closer; else None.

    To four decimals, so that a hundredth is one.
    """
    first, last = first_rating(record), record.rating
    if not record.cropped or len(record.steps) < 2 or first is None or last is None:
        return None
    return round(abs(first - record.example.mos) - abs(last - record.example.mos), 4)


def looking(images: Sequence[ImageRatings]) -> Looking:
    """The trajectories that looked closer, by what became of their rating; a hundredth is no change."""
    gains = [found for image in images for record in image.trajectories if (found := gain(record)) is not None]
    helped, hurt = sum(value > NO_CHANGE for value in gains), sum(value < -NO_CHANGE for value in gains)
    return Looking(helped, hurt, len(gains) - helped - hurt)


def _agreement(judged: Judged) -> Finding:
    figures = judged.figures
    if isinstance(figures["srcc"], str):
        return Finding("watch", f"{judged.name}: SRCC is {figures['srcc']}.")
    return Finding(
        "plain",
        f"{judged.name}: SRCC {figures['srcc']:.3f}{_within(figures['srcc_interval'])}, raw PLCC "
        f"{_number(figures['plcc'])}{_within(figures['plcc_interval'])} on {figures['n_valid']:,} of {figures['n']:,} "
        f"images of {judged.dataset}.",
    )


def change(before: Judged, after: Judged) -> Finding:
    """The SRCC of the later evaluation's ratings against that of the one before it, on the images both have rated."""
    found = _difference(before, after, _rating)
    name = f"{after.name} against {before.name}"
    if isinstance(found, Undefined):
        return Finding("plain", f"{name}: no difference can be given ({found.reason}).")
    text = f"{name}: SRCC {found.value:+.3f}, {_said(found.interval)} on {found.images:,} images"
    if found.interval.low > 0:
        return Finding("good", f"{text}: higher on these images.")
    if found.interval.high < 0:
        return Finding("watch", f"{text}: lower on these images.")
    return Finding("plain", f"{text}: these images cannot tell the two apart.")


def sharpness(before: Judged, after: Judged) -> list[Finding]:
    """The same of expected ratings, which leave out the draw of the digits; none where they were not measured."""
    found = _difference(before, after, _expected)
    if isinstance(found, Undefined):
        return []
    text = f"{after.name} against {before.name}: SRCC of expected ratings {found.value:+.3f}, {_said(found.interval)}"
    single = _difference(before, after, _rating)
    if not isinstance(single, Undefined) and single.interval.low > 0 >= found.interval.low:
        return [Finding("watch", f"{text}: the gain of answers may be less noise in their digits, not judgement.")]
    return [Finding("plain", f"{text}: judgement without the noise of an answer's digits.")]


def _difference(
    before: Judged, after: Judged, value: Callable[[ImageRatings], float | None]
) -> CorrelationDifference | Undefined:
    """SRCC after minus SRCC before on the images that both have rated, or why there is none."""
    earlier = {image.trajectories[0].example.id: image for image in before.images}
    both = [
        (value(earlier[key]), value(image), image.trajectories[0].example)
        for image in after.images
        if (key := image.trajectories[0].example.id) in earlier
    ]
    rated = [(old, new, example) for old, new, example in both if old is not None and new is not None]
    olds, news = [old for old, _, _ in rated], [new for _, new, _ in rated]
    return value_or_undefined(
        correlation_difference,
        news,
        olds,
        [example.mos for _, _, example in rated],
        metric="srcc",
        n_resamples=BOOTSTRAP_RESAMPLES,
        seed=BOOTSTRAP_SEED,
        clusters=[example.reference_id or example.id for _, _, example in rated],
    )


def _said(interval: Interval) -> str:
    level = f"{100 * interval.level:.0f} % interval of the difference"
    return f"{level} {interval.low:+.3f} to {interval.high:+.3f}"


def _rating(image: ImageRatings) -> float | None:
    return image.rating


def _expected(image: ImageRatings) -> float | None:
    return image.expected


def _variety(judged: Judged) -> list[Finding]:
    scores, people = judged.figures["unique_score_ratio"], judged.figures.get("unique_mos_ratio")
    rated = sum(image.trajectories[0].rating is not None for image in judged.images)
    if not isinstance(scores, float) or people is None or not rated:  # files of 0.1.0 have no ratio of people's
        return []
    scores *= len(judged.images) / rated  # of those that can be read: others are counted by the next sentence
    few = scores < FEW_VALUES * people
    return [
        Finding(
            "watch" if few else "plain",
            f"{judged.name}: ratings take {scores:.2f} different values a rated image, the opinion scores {people:.2f}"
            + ("; scores may have collapsed onto a few values." if few else "."),
        )
    ]


def _unreadable(judged: Judged) -> list[Finding]:
    failures = {reason: count for reason, count in judged.figures["failures"].items() if count}
    trajectories = sum(len(image.trajectories) for image in judged.images)
    total = sum(failures.values())
    if not total:
        return [Finding("good", f"{judged.name}: every one of {trajectories:,} answers could be read.")]
    reasons = ", ".join(f"{reason} {count}" for reason, count in failures.items())
    kind: Kind = "watch" if total > MANY_UNREADABLE * trajectories else "plain"
    return [Finding(kind, f"{judged.name}: {total:,} of {trajectories:,} answers could not be read ({reasons}).")]


def _shift(judged: Judged) -> list[Finding]:
    errors = [i.rating - i.trajectories[0].example.mos for i in judged.images if i.rating is not None]
    if not judged.on_mos_scale or not errors or abs(mean := statistics.fmean(errors)) < SHIFT:
        return []
    side = "above" if mean > 0 else "below"
    return [Finding("watch", f"{judged.name}: ratings lie {abs(mean):.2f} {side} the opinion scores on average.")]


def _looks(judged: Judged) -> list[Finding]:
    found = looking(judged.images)
    if not found.helped + found.hurt + found.same:
        return []
    return [
        Finding(
            "plain",
            f"{judged.name}: after a closer look the rating was nearer to the opinion score in {found.helped:,} "
            f"answers, farther in {found.hurt:,}, the same in {found.same:,}. Ratings before a look are trained to be "
            "worse, so this alone does not show that looking helps.",
        )
    ]


def _learning(stage: str, rows: Sequence[LogRow]) -> list[Finding]:
    """How the figures that say whether a stage learns went from its first steps to its last."""
    watched: Mapping[str, str] = {
        "reward/total": "reward",
        "rollout/entropy": "entropy (nats)",
        "rollout/crop_rate": "crop rate",
        "reward/flat_groups": "groups that teach nothing",
        "sft/nll": "negative log-likelihood (nats a token)",
    }
    moved = [f"{title} {start:.3g} → {end:.3g}" for key, title in watched.items() for start, end in _ends(rows, key)]
    if not moved:
        return []
    return [Finding("plain", f"{stage}, its first {AT_THE_ENDS} steps against its last: {'; '.join(moved)}.")]


def _ends(rows: Sequence[LogRow], key: str) -> list[tuple[float, float]]:
    values = [row[key] for row in rows if key in row]
    if len(values) < 2 * AT_THE_ENDS:
        return []
    return [(statistics.fmean(values[:AT_THE_ENDS]), statistics.fmean(values[-AT_THE_ENDS:]))]


def _within(interval: Any) -> str:
    return f" {ends_said(interval['low'], interval['high'])}" if isinstance(interval, Mapping) else ""


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

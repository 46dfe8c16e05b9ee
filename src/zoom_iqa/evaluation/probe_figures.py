"""Figures of the rating given from words alone, beside that given from the image (H-IQA, arXiv 2512.16484).

A policy that can be judged by its description has said what it judges by. The gap is the agreement from the image minus
that from the words, over the images that have both ratings; its interval draws photographs as all intervals do.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.metrics.differences import CORRELATION_OF, correlation_difference
from zoom_iqa.metrics.intervals import Correlation
from zoom_iqa.metrics.undefined import mean_or_reason, value_or_reason
from zoom_iqa.tasks.description import Caption

Figures = dict[str, Any]
TAKEN = ("midpoint", "isotonic", "logistic4", "interval", "single", "expected", "valid", "human_text", "human_texts")
"""What other figures of ratings end with behind ``srcc_``, ``plcc_`` or ``n_``."""


def check_names(probes: Collection[str]) -> None:
    """Refuse a probe whose figures would be written over others.

    Raises:
        ConfigError: its name is taken.
    """
    for name in probes:
        if name in TAKEN or name.startswith(("gap_", *(f"{taken}_" for taken in TAKEN))):
            raise ConfigError(f"probes.{name}: there is a figure srcc_{name} or n_{name} already; rename the probe")


def probe_figures(images: Sequence[Sequence[Record]], *, n_resamples: int, seed: int) -> Figures:
    """Figures of each probe that the records (of each image) have answers to; none where there is no probe.

    Of each after the first they say how often its words were others: a view of the same words checks nothing.
    """
    records = [record for found in images for record in found]
    names = list(dict.fromkeys(name for record in records for name in record.probes))
    figures: Figures = {}
    for name in names:
        figures |= _of_probe(name, images, n_resamples=n_resamples, seed=seed)
    for name in names[1:]:
        figures[f"other_words_{name}"] = _other_words(records, names[0], name)
    return figures


def caption_figures(records: Sequence[Record]) -> Figures:
    """How many captions are of each kind, in tasks that ask for captions."""
    kinds = [record.steps[-1].reading.values.get("caption") for record in records]
    if not any(kinds):
        return {}
    counts = Counter(kinds)
    return {"captions": {kind.value: counts[kind.value] for kind in Caption}}


@dataclass(frozen=True)
class _Rated:
    """An image with the rating from the image, that from the words, and the photograph it is made of."""

    mos: float
    shown: float | None
    said: float | None
    cluster: str | int


def _of_probe(name: str, images: Sequence[Sequence[Record]], *, n_resamples: int, seed: int) -> Figures:
    answers = [record.probes.get(name, ()) for records in images for record in records]
    asked = sum(bool(found) for found in answers)
    readable = sum(bool(found) and found[0].rating is not None for found in answers)
    rated = [_rated(name, records, number) for number, records in enumerate(images)]
    said = [(image.said, image.mos) for image in rated if image.said is not None]
    figures: Figures = {
        f"asked_{name}": asked / len(answers),
        f"valid_rate_{name}": readable / asked if asked else 0.0,
        f"n_{name}": len(said),
    }
    for metric, of in CORRELATION_OF.items():
        figures[f"{metric}_{name}"] = value_or_reason(of, [rating for rating, _ in said], [mos for _, mos in said])
        gap, interval = _gap(metric, rated, n_resamples=n_resamples, seed=seed)
        figures |= {f"{metric}_gap_{name}": gap, f"{metric}_gap_interval_{name}": interval}
    return figures


def _other_words(records: Sequence[Record], first: str, name: str) -> float | str:
    """The share of answers asked about in both views whose words differ between them."""
    asked = [(record.probes.get(first, ()), record.probes.get(name, ())) for record in records]
    both = [(one[0].example.references, other[0].example.references) for one, other in asked if one and other]
    return mean_or_reason([one != other for one, other in both], "no words in both views")


def _gap(metric: Correlation, rated: Sequence[_Rated], *, n_resamples: int, seed: int) -> tuple[Any, Any]:
    """The agreement from the image minus that from the words, and its interval."""
    both = [(one.shown, one.said, one) for one in rated if one.shown is not None and one.said is not None]
    shown, said = [rating for rating, _, _ in both], [rating for _, rating, _ in both]
    mos, clusters = [one.mos for _, _, one in both], [one.cluster for _, _, one in both]
    found = value_or_reason(
        correlation_difference, shown, said, mos, metric=metric, n_resamples=n_resamples, seed=seed, clusters=clusters
    )
    return (found, found) if isinstance(found, str) else (found.value, asdict(found.interval))


def _rated(name: str, records: Sequence[Record], number: int) -> _Rated:
    example = records[0].example
    return _Rated(example.mos, _shown(records), _probed(name, records), example.reference_id or number)


def _probed(name: str, records: Sequence[Record]) -> float | None:
    """The mean of the ratings from words of an image's trajectories."""
    ratings = [found[0].rating for record in records if (found := record.probes.get(name, ()))]
    return _mean([rating for rating in ratings if rating is not None])


def _shown(records: Sequence[Record]) -> float | None:
    """The mean of the ratings from the image."""
    return _mean([record.rating for record in records if record.rating is not None])


def _mean(ratings: Sequence[float]) -> float | None:
    return statistics.fmean(ratings) if ratings else None

"""Records of comparisons -> figures: how often the choice is people's, and how often it hangs on the order shown.

Accuracy over groups of pairs is after A-FINE (arXiv 2503.11221, CVPR 2025) and its SRIQA-Bench: a pair counts as right
where the answer is the one that the scores' order makes; pairs of one kind (its regression-based or generation-based
methods) and all pairs together have a figure each. An answer that cannot be read is a wrong one.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from zoom_iqa.base.errors import FAILURE_REASONS, PEER_REASONS
from zoom_iqa.base.records import Record
from zoom_iqa.base.targets import CHOICES, MIRRORED, Preference
from zoom_iqa.metrics.choices import matches
from zoom_iqa.metrics.intervals import statistic_interval
from zoom_iqa.metrics.summary import counts_by_reason
from zoom_iqa.metrics.undefined import mean_or_reason, value_or_reason

UNREADABLE = "unreadable"


def preference_figures(records: Sequence[Record], *, n_resamples: int, seed: int) -> dict[str, Any]:
    """JSON-safe figures over trajectories, each counted alike; intervals draw the sources that pairs are made of.

    ``accuracy_always`` is that of the control that gives the commonest label always. ``order_flip_rate`` is over pairs
    asked in both orders with two readable answers: the share whose answers are not of one image (or similar twice).
    ``first_rate`` is the share of "Image A" among answers that prefer one image, which has to be near that of labels.
    """
    labels = Counter(_target(record).choice for record in records)
    accuracy, interval = _accuracy(records, n_resamples, seed)
    choices = [record.choice for record in records if record.choice is not None]
    return {
        "n": len({record.image_key for record in records}),
        "n_pairs": len({_pair(record) for record in records}),
        "samples_per_image": max(Counter(record.image_key for record in records).values()),
        "accuracy": accuracy,
        "accuracy_interval": interval,
        **_by_kind(records, n_resamples, seed),
        "accuracy_always": max(labels.values()) / len(records),
        **_order(records, n_resamples, seed),
        "first_rate": mean_or_reason(
            [choice == "Image A" for choice in choices if choice != "Similar"], "no answer prefers one"
        ),
        "similar_rate": mean_or_reason([choice == "Similar" for choice in choices], "no answer can be read"),
        "label_similar_rate": labels["Similar"] / len(records),
        "valid_rate": len(choices) / len(records),
        "format_rate": statistics.fmean(record.well_formed for record in records),
        "unreadable": len(records) - len(choices),
        "failures": _failures(records),
        "choices_by_label": _choices_by_label(records),
    }


def preferences_csv(records: Sequence[Record]) -> str:
    """One line per answer: the pair, its order and kind, people's preference, the choice, and whether they agree."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "pair", "swapped", "kind", "preference", "choice", "right", "sample"])
    for record in records:
        target = _target(record)
        row = [record.example.id, target.pair, int(target.swapped), target.kind, target.choice, record.choice]
        writer.writerow(["" if cell is None else cell for cell in [*row, int(matches(record)), record.sample]])
    return text.getvalue()


def wrong_first(records: Sequence[Record]) -> list[Record]:
    """The records in the order in which they tell most: unreadable ones, wrong ones, right ones."""
    return sorted(records, key=lambda record: (record.choice is not None, matches(record)))


def _target(record: Record) -> Preference:
    target = record.example.target
    assert isinstance(target, Preference), "figures of preferences are of comparisons"
    return target


def _pair(record: Record) -> Hashable:
    return record.example.dataset, _target(record).pair or record.example.id


def _source(record: Record) -> Hashable:
    """The photograph that a pair is made of: questions about one are no independent draws."""
    return record.example.dataset, record.example.reference_id or _target(record).pair or record.example.id


def _accuracy(records: Sequence[Record], n_resamples: int, seed: int) -> tuple[float, Any]:
    """The share of right answers, and its interval."""
    right = [float(matches(record)) for record in records]
    return statistics.fmean(right), _interval("accuracy", right, list(map(_source, records)), n_resamples, seed)


def _by_kind(records: Sequence[Record], n_resamples: int, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for kind in sorted({kind for record in records if (kind := _target(record).kind) is not None}):
        of_kind = [record for record in records if _target(record).kind == kind]
        figures[f"pairs_{kind}"] = len(set(map(_pair, of_kind)))
        accuracy, interval = _accuracy(of_kind, n_resamples, seed)
        figures |= {f"accuracy_{kind}": accuracy, f"accuracy_{kind}_interval": interval}
    return figures


def _order(records: Sequence[Record], n_resamples: int, seed: int) -> dict[str, Any]:
    """Answers to a pair in its two orders, sample by sample."""
    answered: dict[Hashable, dict[bool, Record]] = {}
    for record in records:
        if record.choice is not None:
            answered.setdefault((_pair(record), record.sample), {})[_target(record).swapped] = record
    both = [(orders[False], orders[True]) for orders in answered.values() if len(orders) == 2]
    flips = [float(_flips(straight, swapped)) for straight, swapped in both]
    return {
        "n_both_orders": len(both),
        "order_flip_rate": mean_or_reason(flips, "no pair has a readable answer in both orders"),
        "order_flip_rate_interval": _interval(
            "order_flip_rate", flips, [_source(straight) for straight, _ in both], n_resamples, seed
        ),
    }


def _flips(straight: Record, swapped: Record) -> bool:
    assert straight.choice is not None, "unreadable answers are left out"
    return MIRRORED[straight.choice] != swapped.choice


def _failures(records: Sequence[Record]) -> dict[str, int]:
    return counts_by_reason((record.failure for record in records), known=FAILURE_REASONS + PEER_REASONS)


def _choices_by_label(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    found = Counter((_target(record).choice, record.choice or UNREADABLE) for record in records)
    return {label: {choice: found[label, choice] for choice in (*CHOICES, UNREADABLE)} for label in CHOICES}


def _interval(name: str, values: list[float], clusters: list[Hashable], n_resamples: int, seed: int) -> Any:
    """The interval of a mean, or why there is none."""
    numbers = np.array(values)
    found = value_or_reason(
        statistic_interval,
        name,
        lambda rows: float(numbers[rows].mean()),
        len(values),
        n_resamples=n_resamples,
        seed=seed,
        clusters=clusters,
    )
    return found if isinstance(found, str) else asdict(found)

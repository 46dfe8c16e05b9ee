"""Judged images as the JSON-safe rows that a page draws, filters and shows; texts of models made visible as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.printable import printable
from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.types import Mos, ParseFailure, Truth
from zoom_iqa.evaluation.figures import ImageRatings
from zoom_iqa.reports.contents import Judged, last_of_each
from zoom_iqa.reports.findings import gain

Row = dict[str, Any]
FRONT = 60
"""Images of each kind, of all data sets, that come first: far from the MOS, helped or hurt by looking, unreadable."""


def visible(text: str) -> str:
    """A text as a page shows it: its lines stay, and every character that cannot be seen is written out."""
    return "\n".join(printable(line) for line in text.split("\n"))


def key_of(record: Record) -> str:
    """The name under which a page keeps the picture of a record's image."""
    return record.example.name


def answer_row(image: ImageRatings, *, with_text: bool, on_scale: bool) -> Row:
    """An image of an evaluation: what people and the policy say of it, and its first trajectory turn by turn.

    ``on_scale`` says whether ratings can be compared with opinion scores.
    """
    first = image.trajectories[0]
    example = first.example
    target = example.target if isinstance(example.target, Mos) else None
    return {
        "key": key_of(first),
        "id": visible(example.id),
        "mos": None if target is None else target.mean,
        "std": None if target is None else target.std,
        "rating": image.rating,
        "expected": _expected(image),
        "single": first.rating,
        "ratings": [round(rating, 3) for rating in image.ratings],
        "trajectories": len(image.trajectories),
        "unreadable": sum(one.failure is not None for one in image.trajectories),
        "on_scale": on_scale,
        "why": first.failure,
        "gain": gain(first),
        "cropped": first.cropped,
        "formed": first.well_formed,
        "truth": _truth_said(example.truth),
        "region": None if example.truth is None else example.truth.region,
        "evidence": [_evidence_row(one) for one in first.steps[-1].reading.evidence or ()],
        "steps": [_step_row(step, with_text=with_text, last=step is first.steps[-1]) for step in first.steps],
    }


def rollout_row(record: Record) -> Row:
    """A rollout that training has kept, with the terms of its reward."""
    return {
        "step": record.step,
        "id": visible(record.example.id),
        "mos": record.example.target.mean if isinstance(record.example.target, Mos) else None,
        "rating": record.rating,
        "why": record.failure,
        "cropped": record.cropped,
        "rewards": {visible(name): value for name, value in record.rewards.items()},
        "texts": [visible(step.text) for step in record.steps],
    }


def most_telling_first(judged: Sequence[Judged]) -> list[ImageRatings]:
    """The images of evaluations, each once: the extremes of each data set's last one before everything else."""
    lasts = last_of_each(judged)
    front: list[ImageRatings] = []
    for rank in (_distance, _helped, _hurt, _unreadable):
        for last in lasts:
            if rank is _distance and not last.on_mos_scale:
                continue
            ranked = [(value, index) for index, image in enumerate(last.images) if (value := rank(image)) is not None]
            chosen = sorted(ranked, key=lambda pair: (-pair[0], pair[1]))[: -(-FRONT // len(lasts))]
            front += [last.images[index] for _, index in chosen]
    found: dict[str, ImageRatings] = {}
    for image in [*front, *(image for one in reversed(judged) for image in one.images)]:
        found.setdefault(key_of(image.trajectories[0]), image)
    return list(found.values())


def expected_and_single(images: Sequence[ImageRatings]) -> list[tuple[float, float, float]]:
    """Expected rating, first trajectory's rating and opinion score of the images that have all three.

    The expectation is over the digits where evaluation has measured it, else the mean of several answers.
    """
    return [
        (expected, first, image.trajectories[0].example.mos)
        for image in images
        if (first := image.trajectories[0].rating) is not None and (expected := _expected(image)) is not None
    ]


def _expected(image: ImageRatings) -> float | None:
    if image.expected is not None:
        return image.expected
    return statistics.fmean(image.ratings) if len(image.ratings) > 1 else None


def _distance(image: ImageRatings) -> float | None:
    return None if image.rating is None else abs(image.rating - image.trajectories[0].example.mos)


def _helped(image: ImageRatings) -> float | None:
    value = gain(image.trajectories[0])
    return value if value is not None and value > 0 else None


def _hurt(image: ImageRatings) -> float | None:
    value = gain(image.trajectories[0])
    return -value if value is not None and value < 0 else None


def _unreadable(image: ImageRatings) -> float | None:
    return 0.0 if any(one.failure is not None for one in image.trajectories) else None


def _step_row(step: RecordedStep, *, with_text: bool, last: bool) -> Row:
    rating = step.reading.rating
    return {
        "text": visible(step.text) if with_text else None,
        "tokens": step.tokens,
        "cut": step.finish == "length",
        "rating": None if isinstance(rating, ParseFailure) else rating,
        "why": rating.reason if isinstance(rating, ParseFailure) else None,
        "looks": not last and _only_looks(step),
        "boxes": [look.box for look in step.looks if look.box is not None],
        "refused": [visible(look.refusal) for look in step.looks if look.refusal is not None],
    }


def _only_looks(step: RecordedStep) -> bool:
    """Whether a turn asks for looks in place of an answer, so that it lacks a rating on purpose."""
    return step.reading.failure is not None and step.reading.failure.reason == "missing_answer" and bool(step.looks)


def _evidence_row(evidence: Evidence) -> Row:
    return {"box": evidence.bbox, "said": visible(f"{evidence.severity} {evidence.defect}".strip())}


def _truth_said(truth: Truth | None) -> str | None:
    if truth is None:
        return None
    if truth.distortion is None:
        return "pristine"
    return f"{truth.distortion}, level {truth.level:.3g}{'' if truth.region is None else ', in a region'}"

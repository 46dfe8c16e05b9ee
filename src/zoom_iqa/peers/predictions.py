"""Runs a peer over a data set into the records and figures that a policy's evaluation has."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.records import Record, RecordedStep, record_without_answer
from zoom_iqa.base.types import Ending, ParseFailure, Reading, Sample
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.evaluation.figure_kinds import OWN_SCALE
from zoom_iqa.evaluation.figures import StageMetrics, figures_of
from zoom_iqa.evaluation.resumable import predict_missing
from zoom_iqa.peers.peer import Peer
from zoom_iqa.tasks.answer import rating_values

NEEDS_MOS_SCALE = ("rmse", "srcc_midpoint", "plcc_midpoint", "unique_score_ratio", "score_histogram")
"""Figures that compare a rating with 1-5, put 3 in its place or count it in hundredths of it."""


def predict_all(peer: Peer, dataset: ImageDataset, *, path: Path, title: str | None) -> tuple[Record, ...]:
    """Judge what ``path`` does not hold yet; returns all records in the data set's order, as the file is then.

    A record's rating is the method's number turned so that higher is better (its sign changed where lower is), and
    clipped where it estimates a score on 1-5; its text holds the number as the method gives it. An image for which it
    has none, such as a flat or a small one, has a record without an answer, of failure ``no_score``. Progress is shown
    under ``title``, or not without one.

    Raises:
        DataError: ``path`` holds predictions of other images or labels.
        ImageError: an image cannot be read.
    """
    return predict_missing(
        path, dataset.items(), samples=1, predict=lambda indices: _predict(peer, dataset, indices), title=title
    )


def peer_figures(peer: Peer, records: Sequence[Record]) -> StageMetrics:
    """The figures of an evaluation; those that need scores on 1-5 are named undefined where the peer's are not."""
    figures = figures_of(records, None)
    if not peer.on_mos_scale:
        figures |= dict.fromkeys(NEEDS_MOS_SCALE, OWN_SCALE)
    return figures


def _predict(peer: Peer, dataset: ImageDataset, indices: Sequence[int]) -> Iterator[list[Record]]:
    for index in indices:
        sample = dataset[index]
        started = time.perf_counter()
        number = _finite_score(peer, sample)
        seconds = time.perf_counter() - started
        if isinstance(number, ParseFailure):
            yield [record_without_answer(sample.example, sample=0, failure=number, seconds=seconds)]
        else:
            yield [_record(sample, number, peer, seconds=seconds)]


def _finite_score(peer: Peer, sample: Sample) -> float | ParseFailure:
    try:
        score = peer.score(sample.image)
    except ImageError as error:
        return ParseFailure("no_score", str(error))
    return score if math.isfinite(score) else ParseFailure("no_score", f"the score is {score}, not a finite number")


def _record(sample: Sample, number: float, peer: Peer, *, seconds: float) -> Record:
    rating = -number if peer.lower_is_better else number
    reading = Reading(values=rating_values(rating) if peer.on_mos_scale else {"rating": rating}, well_formed=True)
    step = RecordedStep(text=repr(number), tokens=0, finish="stop", reading=reading)
    return Record(example=sample.example, sample=0, steps=(step,), ending=Ending.FINAL, seconds=round(seconds, 4))

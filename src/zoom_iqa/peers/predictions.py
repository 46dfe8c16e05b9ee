"""Runs a peer over a data set into the records and figures that a policy's evaluation has."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoom_iqa.base.errors import DataError, ImageError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.types import ImageSample
from zoom_iqa.evaluation.evaluator import ImageDataset
from zoom_iqa.evaluation.figures import StageMetrics, figures_of
from zoom_iqa.evaluation.predictions import Prediction, PredictionFile, read_predictions, write_predictions
from zoom_iqa.metrics.summary import Undefined
from zoom_iqa.peers.peer import Peer

OWN_SCALE = "scores are on the method's own scale"
NEEDS_MOS_SCALE = ("rmse", "unique_score_ratio", "score_histogram")
"""Figures that compare a rating with 1-5 or count it in hundredths of it."""


def predict_all(peer: Peer, dataset: ImageDataset, *, path: Path, title: str | None) -> tuple[Prediction, ...]:
    """Score what ``path`` does not hold yet; returns all predictions in the data set's order, as the file is then.

    ``rating`` is the score turned so that higher is better (its sign changed where lower is); ``texts`` holds it as
    the method gives it. Progress is shown under ``title``, or not without one.

    Raises:
        DataError: ``path`` holds predictions of other images or labels.
        ImageError: an image cannot be read, or the method has no score for it.
    """
    items = dataset.items()
    with PredictionFile(path) as file, ProgressLine(title or "", total=len(items), shown=title is not None) as line:
        done = {prediction.id: prediction for prediction in file.written}
        mos = {item.id: item.mos for item in items}
        changed = [f"{p.id}: MOS {p.mos:g} then, {mos.get(p.id)} now" for p in file.written if mos.get(p.id) != p.mos]
        if changed:
            raise DataError(f"{path} holds predictions made with other labels; remove it to predict again", changed)
        line.start_at(len(done))
        for prediction in _predict(peer, dataset, [i for i, item in enumerate(items) if item.id not in done]):
            file.append([prediction])
            line.advance()
    by_id = {prediction.id: prediction for prediction in read_predictions(path)}
    ordered = tuple(by_id[item.id] for item in items)
    write_predictions(path, ordered)
    return ordered


def peer_figures(peer: Peer, predictions: Sequence[Prediction]) -> StageMetrics:
    """The figures of an evaluation; those that need scores on 1-5 are named undefined where the peer's are not."""
    figures = figures_of(predictions, None)
    if not peer.on_mos_scale:
        figures |= dict.fromkeys(NEEDS_MOS_SCALE, str(Undefined(OWN_SCALE)))
    return figures


def _predict(peer: Peer, dataset: ImageDataset, indices: Sequence[int]) -> Iterator[Prediction]:
    for index in indices:
        sample = dataset[index]
        started = time.perf_counter()
        score = _finite_score(peer, sample)
        yield _prediction(sample, score, lower_is_better=peer.lower_is_better, seconds=time.perf_counter() - started)


def _finite_score(peer: Peer, sample: ImageSample) -> float:
    name = f"{sample.item.dataset}:{sample.item.id}"
    try:
        score = peer.score(sample.image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    if not math.isfinite(score):
        raise ImageError(f"{name}: the score is {score}, not a finite number")
    return score


def _prediction(sample: ImageSample, score: float, *, lower_is_better: bool, seconds: float) -> Prediction:
    item = sample.item
    return Prediction(
        id=item.id,
        dataset=item.dataset,
        mos=item.mos,
        mos_std=item.mos_std,
        sample=0,
        rating=-score if lower_is_better else score,
        failure=None,
        routing_warning=None,
        well_formed=True,
        rounds=1,
        box=None,
        texts=(repr(score),),
        tokens=(),
        seconds=round(seconds, 4),
    )

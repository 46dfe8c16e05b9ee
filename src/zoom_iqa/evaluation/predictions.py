"""One prediction per image, and the file that keeps them: appended as they come, whole lines only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import DataError, FailureReason
from zoom_iqa.base.types import Box, Generation, ImageItem, ParseFailure, Rollout, Turn
from zoom_iqa.tasks.zoom import answer_or_failure, rating_or_failure


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a policy said of one image. ``rating`` is None where ``failure`` names why there is none.

    ``box`` is the crop looked at, in pixels; ``texts`` and ``tokens`` hold one entry per turn; ``sample`` counts the
    trajectories of one image from 0; ``seconds`` is the image's share of the time its batch took.
    """

    id: str
    dataset: str
    mos: float
    mos_std: float | None
    sample: int
    rating: float | None
    failure: FailureReason | None
    routing_warning: FailureReason | None
    well_formed: bool
    rounds: int
    box: Box | None
    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    seconds: float

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes a prediction one of its kind."""
        return (self.dataset, self.id, self.sample)


def prediction_of(rollout: Rollout, *, seconds: float) -> Prediction:
    """The record of a finished trajectory."""
    rating, item = rollout.rating, rollout.item
    failed = isinstance(rating, ParseFailure)
    return Prediction(
        id=item.id,
        dataset=item.dataset,
        mos=item.mos,
        mos_std=item.mos_std,
        sample=rollout.index,
        rating=None if isinstance(rating, ParseFailure) else rating,
        failure=rating.reason if isinstance(rating, ParseFailure) else None,
        routing_warning=rollout.routing_warning,
        well_formed=rollout.well_formed and not failed,
        rounds=len(rollout.turns),
        box=rollout.turns[0].box,
        texts=tuple(turn.generation.text for turn in rollout.turns),
        tokens=tuple(len(turn.generation.token_ids) for turn in rollout.turns),
        seconds=round(seconds, 4),
    )


def rollout_of(prediction: Prediction) -> Rollout:
    """The trajectory of a record, for what reads texts, answers, ratings and boxes; prompts and tokens are not kept."""
    item = ImageItem(id=prediction.id, dataset=prediction.dataset, mos=prediction.mos, mos_std=prediction.mos_std)
    turns = [_turn_of(text, prediction.box if number == 0 else None) for number, text in enumerate(prediction.texts)]
    last = replace(turns[-1], rating=_rating_of(prediction), well_formed=prediction.well_formed)
    return Rollout(item, prediction.sample, (*turns[:-1], last), prediction.routing_warning)


class PredictionFile:
    """A JSONL file that only grows by whole lines; a line cut off by a crash is dropped when it is opened again.

    Used as a context manager; ``written`` holds what the file held when it was opened.

    Raises:
        DataError: a whole line is not a prediction.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None
        self.written: tuple[Prediction, ...] = ()

    def __enter__(self) -> PredictionFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.written = _recover(self.path)
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, predictions: Iterable[Prediction]) -> None:
        """Write and flush to disk."""
        assert self._file is not None, "open the file with `with`"
        for prediction in predictions:
            self._file.write(_line(prediction))
        self._file.flush()
        os.fsync(self._file.fileno())


def share_of(path: Path, rank: int) -> Path:
    """The file of one process of several that share the work of ``path``."""
    return path.with_name(f"{path.stem}-{rank}{path.suffix}")


def merge_shares(path: Path) -> None:
    """Move what the shares beside ``path`` hold into it; stopped at any moment, it can be repeated."""
    with PredictionFile(path) as file:
        known = {prediction.key for prediction in file.written}
        for share in sorted(path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}")):
            with PredictionFile(share) as part:
                fresh = [prediction for prediction in part.written if prediction.key not in known]
            file.append(fresh)
            known.update(prediction.key for prediction in fresh)
            share.unlink()


def read_predictions(path: Path) -> tuple[Prediction, ...]:
    """Every prediction of a file.

    Raises:
        DataError: a line is not a prediction, such as one cut off by a crash.
    """
    return _parse(path, path.read_text(encoding="utf-8"))


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Replace a file as a whole: stopped at any moment, either the old one or the new one is there."""
    with whole_text_file(path) as file:
        file.writelines(_line(prediction) for prediction in predictions)


def _line(prediction: Prediction) -> str:
    return json.dumps(asdict(prediction), ensure_ascii=False) + "\n"


def _recover(path: Path) -> tuple[Prediction, ...]:
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return _parse(path, whole.decode("utf-8"))


def _parse(path: Path, text: str) -> tuple[Prediction, ...]:
    predictions, wrong = [], []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            predictions.append(_from_json(line))
        except (ValueError, TypeError, KeyError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise DataError(f"{path} holds lines that are not predictions; remove them or the file:", wrong)
    return tuple(predictions)


def _from_json(line: str) -> Prediction:
    fields = json.loads(line)
    box = fields["box"]
    return Prediction(
        **{
            **fields,
            "box": None if box is None else tuple(box),
            "texts": tuple(fields["texts"]),
            "tokens": tuple(fields["tokens"]),
        }
    )


def _rating_of(prediction: Prediction) -> float | ParseFailure:
    if prediction.rating is not None:
        return prediction.rating
    assert prediction.failure is not None, "a prediction has a rating or says why not"
    return ParseFailure(prediction.failure, "")


def _turn_of(text: str, box: Box | None) -> Turn:
    return Turn(
        prompt=(),
        prompt_key="",
        generation=Generation(key="", text=text, token_ids=(), logprobs=(), entropies=(), finish="stop"),
        answer=answer_or_failure(text),
        rating=rating_or_failure(text),
        well_formed=True,  # known of the trajectory, of which the last turn keeps it
        box=box,
    )

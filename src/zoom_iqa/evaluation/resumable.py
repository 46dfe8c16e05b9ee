"""Predicting a data set so that work may stop anywhere and go on, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.record_labels import changed_labels, with_facts
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.types import Example
from zoom_iqa.parallel.processes import rank, wait_for_all, world_size
from zoom_iqa.parallel.stopping import until_stopped

Key = tuple[str, str, int]
"""Data set, id and sample of a record."""


def predict_missing(
    path: Path,
    examples: Sequence[Example],
    *,
    samples: int,
    predict: Callable[[Sequence[int]], Iterator[list[Record]]],
    title: str | None,
) -> tuple[Record, ...]:
    """Predict what ``path`` does not hold yet; returns ``samples`` records of each example, in order.

    ``predict`` takes indices of examples and yields whole examples' records. Every process must call this: each
    predicts a share, in a file of its own beside ``path``, and returns everything. At the end ``path`` is in the
    examples' order too, with what they say of their images now, such as photographs and references. Progress is shown
    under ``title``, or not without one.

    Raises:
        DataError: ``path`` holds records of images whose label is another one now.
        StoppedError: a signal asked to stop; what is predicted until then is kept.
    """
    file = RecordFile(path, RecordCodec())
    done = _merged(file)
    changed = changed_labels(done.values(), examples)
    if changed:
        raise DataError(f"{path} holds predictions made with other labels; remove it to predict again", changed)
    missing = [
        index
        for index, example in enumerate(examples)
        if any((*example.key, sample) not in done for sample in range(samples))
    ]
    own, before = missing[rank() :: world_size()], len(examples) - len(missing)
    share = file if world_size() == 1 else file.share(rank())
    line = ProgressLine(title or "", total=before + len(own), shown=rank() == 0 and title is not None)
    with share as part, line as progress:
        progress.start_at(before)
        for records in until_stopped(predict(own)):
            part.append(record for record in records if _key(record) not in done)
            progress.advance(len(records) // samples)
    done = _merged(file)
    ordered = tuple(
        with_facts(done[*example.key, sample], example) for example in examples for sample in range(samples)
    )
    if rank() == 0 and ordered != tuple(done.values()):
        file.write(ordered)  # shares and restarts have mixed the order, or a data set says more of an image now
    wait_for_all()
    return ordered


def _merged(file: RecordFile[Record]) -> dict[Key, Record]:
    """All processes' records so far; the first has merged the shares of a run that was stopped before it did."""
    wait_for_all()
    if rank() == 0:
        file.merge_shares()
    wait_for_all()
    return {_key(record): record for record in file.read()}


def _key(record: Record) -> Key:
    return *record.image_key, record.sample

"""Trajectories that were kept -> supervised turns in JSONL, as SFT reads them, with the pictures they show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import ImagePart, Sample
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.supervised.records import SupervisedTurn, TurnRecord, supervised_turns, turn_records, write_records
from zoom_iqa.tasks.task import Task, derive_seed

PICTURES = "images"


def export(
    folder: Path, records: Sequence[Record], *, dataset: ImageDataset, task: Task, seed: int, split: str
) -> Path:
    """Write ``sft_<split>.jsonl``: the turns of ``records`` with exactly the prompts they were answers to.

    Paths are relative to ``folder``. An image of a file is named where it lies; crops, and images made on the fly, are
    written beside as PNG. ``seed`` is that of ``generate``.
    """
    index_of = {item.key: index for index, item in enumerate(dataset.items())}
    turns: list[TurnRecord] = []
    for record in records:
        sample = dataset[index_of[record.image_key]]
        session = task.open(sample, index=record.sample, seed=derive_seed(seed, sample.example.name))
        learned = supervised_turns(session, [step.text for step in record.steps])
        turns += turn_records(learned, example=sample.example, paths=_paths(folder, sample, learned))
    path = folder / f"sft_{split}.jsonl"
    write_records(path, turns)
    return path


def _paths(folder: Path, sample: Sample, turns: Sequence[SupervisedTurn]) -> dict[str, str]:
    paths: dict[str, str] = {}
    own = sample.images[0].key
    for part in (part for turn in turns for message in turn.prompt for part in message.parts):
        if not isinstance(part, ImagePart) or part.key in paths:
            continue
        if part.key == own and sample.example.path is not None:
            # of real places: opening folder/../ leads out of where a link leads to
            paths[part.key] = os.path.relpath(os.path.realpath(sample.example.path), os.path.realpath(folder))
        else:
            paths[part.key] = _saved(folder, part)
    return paths


def _saved(folder: Path, part: ImagePart) -> str:
    name = f"{PICTURES}/{part.key}.png"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_binary_file(path) as file:
            part.image.save(file, format="PNG")
    return name

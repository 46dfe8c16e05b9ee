"""The folder of a run that was never made: answers of choice in the files that a training run leaves."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support.made_rollouts import rollout, step
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec, record_of
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.base.types import Box, Ending, ParseFailure, rated_example
from zoom_iqa.evaluation.figure_kinds import OWN_SCALE
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.peers.predictions import NEEDS_MOS_SCALE

Rating = float | ParseFailure
UNREADABLE = ParseFailure("malformed_json", "made")
CONFIG = {"name": "made", "stages": ["sft", "grpo"], "seed": 0, "policy": {"path": "policies/start"}}


def answer(
    name: str,
    mos: float,
    *ratings: Rating,
    box: Box | None = None,
    text: str = "text",
    index: int = 0,
    training_step: int | None = None,
    rewards: Mapping[str, float] | None = None,
    dataset: str = "made",
    photograph: str | None = None,
) -> Record:
    """A trajectory with a turn for each rating; the first turn looks at ``box``."""
    example = rated_example(id=name, dataset=dataset, mos=mos, reference_id=photograph)
    turns = [step(r, box=box if place == 0 else None, text=f"{text} {place}") for place, r in enumerate(ratings)]
    ending = Ending.FINAL if isinstance(ratings[-1], float) else Ending.MALFORMED_JSON
    made = rollout(example, *turns, index=index, ending=ending)
    return record_of(made, rewards=rewards, step=training_step)


def run_folder(
    path: Path,
    judged: Mapping[str, Sequence[Record]],
    *,
    logs: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
    rollouts: Sequence[Record] = (),
    config: Mapping[str, Any] | None = None,
) -> Path:
    """A training run's folder with these answers after each stage and these rows in its logs."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "stages": list(judged), **(config or {})}))
    (path / "metrics.json").write_text(json.dumps({name: figures_of(rows, None) for name, rows in judged.items()}))
    RunFolder(path).write_origin({"command": "python -m zoom_iqa.train 'name=<b>'"})
    for name, records in judged.items():
        with RecordFile(path / "evaluation" / name / "predictions.jsonl", RecordCodec()) as file:
            file.append(records)
    for name, rows in (logs or {}).items():
        (path / "logs" / name).mkdir(parents=True)
        with (path / "logs" / name / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
            writer.writeheader()
            writer.writerows(rows)
    if rollouts:
        with RecordFile(path / "logs" / "grpo" / "rollouts.jsonl", RecordCodec()) as file:
            file.append(rollouts)
    return path


def evaluation_folder(path: Path, records: Sequence[Record]) -> Path:
    """An evaluation's folder with these answers, each under its own data set."""
    path.mkdir(parents=True)
    config = {"policy": CONFIG["policy"], "samples_per_image": 1, "limit": None}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    by_dataset: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_dataset[record.example.dataset].append(record)
    (path / "metrics.json").write_text(json.dumps({name: figures_of(rows, None) for name, rows in by_dataset.items()}))
    for name, rows in by_dataset.items():
        with RecordFile(path / name / "predictions.jsonl", RecordCodec()) as file:
            file.append(rows)
    return path


def on_own_scale(folder: Path) -> Path:
    """The folder with figures that a method with a scale of its own has."""
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    for figures in metrics.values():
        figures |= dict.fromkeys(NEEDS_MOS_SCALE, OWN_SCALE)
    path.write_text(json.dumps(metrics))
    return folder

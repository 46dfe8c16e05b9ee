"""A ``predictions.jsonl`` of version 0.1.0, written once and never again: it is read, and its figures are the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.config.location import conf_dir
from zoom_iqa.evaluation.figures import figures_of, ratings_csv
from zoom_iqa.objectives.rewards.rubric import Rubric

FOLDER = Path(__file__).parent / "records"


def old_file() -> tuple[Record, ...]:
    return RecordFile(FOLDER / "v0_predictions.jsonl", RecordCodec()).read()


def rubric() -> Rubric:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return Rubric(terms=instantiate(compose("train").reward))


def test_figures_of_an_old_file() -> None:
    kept = json.loads((FOLDER / "v0_figures.json").read_text(encoding="utf-8"))
    found = figures_of(old_file(), rubric())
    assert {name: found[name] for name in kept} == pytest.approx(kept)


def test_table_of_an_old_file() -> None:
    """Its columns come first, as they were; later versions have more."""
    kept = list(csv.reader(io.StringIO((FOLDER / "v0_scores.csv").read_text(encoding="utf-8"))))
    found = csv.reader(io.StringIO(ratings_csv(old_file())))
    assert [row[: len(kept[0])] for row in found] == kept

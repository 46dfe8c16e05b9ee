"""``zoom-iqa judge`` tells files of predictions from keys of its config."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec, record_without_answer
from zoom_iqa.base.types import Example, ImageRef, ParseFailure
from zoom_iqa.config.judging_run import compose_config, judge


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "lr=1e-4" / "embedded" / "predictions.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_signs_in_a_path_are_no_name(predictions: Path) -> None:
    assert dict(compose_config([str(predictions)]).predictions) == {"embedded": str(predictions)}
    assert dict(compose_config([f"mine={predictions}"]).predictions) == {"mine": str(predictions)}


def test_a_key_of_the_config_is_no_system(predictions: Path) -> None:
    cfg = compose_config([str(predictions), "benchmark=koniq", "benchmark.reader.labels=mine.jsonl"])
    assert dict(cfg.predictions) == {"embedded": str(predictions)}
    assert cfg.benchmark.reader.labels == "mine.jsonl"


def test_two_files_need_two_names(predictions: Path) -> None:
    with pytest.raises(ConfigError, match=r"embedded is named twice; give names, as NAME="):
        compose_config([str(predictions), f"embedded={predictions}"])


def test_predictions_are_no_key(predictions: Path) -> None:
    with pytest.raises(ConfigError, match=r"^predictions=.*: predictions are given as \[NAME=\]FILE\.jsonl"):
        compose_config([f"predictions={predictions}", "judge.model=x"])


def test_answers_about_other_images_are_refused_before_anything_is_asked_or_kept(tmp_path: Path) -> None:
    example = Example(id="p0.png", dataset="mine", images=(ImageRef(path="p0.png"),))
    made = record_without_answer(example, sample=0, failure=ParseFailure("missing_answer", ""))
    RecordFile(tmp_path / "mine.jsonl", RecordCodec()).write([made])
    for dry in ("true", "false"):
        cfg = compose_config(
            [str(tmp_path / "mine.jsonl"), "judge.model=x", f"dry_run={dry}", f"out={tmp_path / 'out'}"]
        )
        with pytest.raises(
            DataError, match="not in this benchmark and split; name theirs, as benchmark=NAME or"
        ) as error:
            judge(cfg)
        assert error.value.rows == ("mine:p0.png",)
        assert not (tmp_path / "out").exists()


def test_answers_about_pairs_are_not_shown_by_half(tmp_path: Path) -> None:
    """The judge sees one image."""
    example = Example(id="a", dataset="embedded", images=(ImageRef(path=None), ImageRef(path=None)))
    made = record_without_answer(example, sample=0, failure=ParseFailure("missing_answer", ""))
    RecordFile(tmp_path / "pairs.jsonl", RecordCodec()).write([made])
    cfg = compose_config(
        [str(tmp_path / "pairs.jsonl"), "benchmark=embedded", "judge.model=x", "dry_run=true", "out=unused"]
    )
    with pytest.raises(DataError, match=r"the judge sees one image, and 1 of 1 examples have several"):
        judge(cfg)


def test_a_folder_of_predictions_is_no_key(predictions: Path) -> None:
    folder = predictions.parents[1]
    there = re.escape(f"predictions are given as [NAME=]FILE.jsonl; {folder} holds embedded/predictions.jsonl")
    for argument in (f"mine={folder}", str(folder)):
        with pytest.raises(ConfigError, match=there):
            compose_config([argument])

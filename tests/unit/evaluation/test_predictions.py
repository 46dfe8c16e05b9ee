"""The file of predictions: whole lines only, whatever happened while it was written; shares of several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import Answer, Generation, ImageItem, ParseFailure, Rollout, Turn
from zoom_iqa.evaluation.predictions import (
    Prediction,
    PredictionFile,
    merge_shares,
    prediction_of,
    read_predictions,
    rollout_of,
    share_of,
    write_predictions,
)


def prediction(name: str, *, sample: int = 0, rating: float | None = 3.5, text: str = "so") -> Prediction:
    return Prediction(
        id=name,
        dataset="d",
        mos=3.0,
        mos_std=None,
        sample=sample,
        rating=rating,
        failure=None if rating is not None else "missing_answer",
        routing_warning=None,
        well_formed=rating is not None,
        rounds=1,
        box=(1, 2, 3, 4),
        texts=(text,),
        tokens=(7,),
        seconds=0.5,
    )


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.jsonl"
    first, second = prediction("a"), prediction("b", rating=None, text="ü – 日本\u2028\n\x85 🙂")
    with PredictionFile(path) as file:
        assert file.written == ()
        file.append([first])
        assert read_predictions(path) == (first,)  # on disk at once
        file.append([second])
    with PredictionFile(path) as file:
        assert file.written == (first, second)
    assert len(path.read_bytes().splitlines()) == 2


@given(cut=st.integers(min_value=0, max_value=800))
def test_a_file_cut_anywhere_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "predictions.jsonl"
    everything = [prediction(name, text="ü" * 20) for name in "abc"]
    with PredictionFile(path) as file:
        file.append(everything)
    raw = path.read_bytes()
    path.write_bytes(raw[:cut])
    with PredictionFile(path) as file:
        kept = raw[:cut].count(b"\n")
        assert file.written == tuple(everything[:kept])
        file.append(everything[kept:])
    assert path.read_bytes() == raw


def test_a_line_that_is_no_prediction_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with PredictionFile(path) as file:
        file.append([prediction("a")])
    with path.open("a") as text:
        text.write('{"id": "b"}\nnonsense\n')
    with pytest.raises(DataError, match="line 2") as named:
        read_predictions(path)
    assert len(named.value.rows) == 2
    with pytest.raises(DataError, match="line 3"), PredictionFile(path):
        pass


def test_shares_are_merged_once_however_often_it_is_tried(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with PredictionFile(path) as file:
        file.append([prediction("a")])
    for rank, names in enumerate(("ab", "c", "d")):  # "a" was merged before a crash that left its share
        with PredictionFile(share_of(path, rank)) as share:
            share.append([prediction(name) for name in names])
    with share_of(path, 2).open("a") as text:
        text.write('{"id": "cut o')
    for _ in range(2):
        merge_shares(path)
        assert [p.id for p in read_predictions(path)] == ["a", "b", "c", "d"]
    assert [left.name for left in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_replacement_that_fails_midway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [prediction("a")])

    def some() -> Iterator[Prediction]:
        yield prediction("b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(path, some())
    assert read_predictions(path) == (prediction("a"),)
    assert list(tmp_path.iterdir()) == [path]


def rollout(*, rating: float | ParseFailure, well_formed: bool, cropped: bool) -> Rollout:
    def turn(box: tuple[int, int, int, int] | None) -> Turn:
        generation = Generation("k", "text", (1, 2, 3), (0.0,) * 3, (0.0,) * 3, "stop")
        answer = Answer((0, 0, 0, 0), 3.0, "final")
        return Turn((), "p", generation, answer, rating, well_formed, box)

    turns = (turn((1, 2, 30, 40)), turn(None)) if cropped else (turn(None),)
    return Rollout(ImageItem(id="x", dataset="d", mos=2.5, mos_std=0.25), 3, turns)


def test_what_is_kept_of_a_trajectory() -> None:
    found = prediction_of(rollout(rating=4.25, well_formed=True, cropped=True), seconds=1.23456)
    assert (found.key, found.mos, found.mos_std) == (("d", "x", 3), 2.5, 0.25)
    assert (found.rating, found.failure, found.well_formed) == (4.25, None, True)
    assert (found.rounds, found.box) == (2, (1, 2, 30, 40))
    assert (found.texts, found.tokens, found.seconds) == (("text", "text"), (3, 3), 1.2346)


def test_a_trajectory_without_a_rating_says_why() -> None:
    found = prediction_of(
        rollout(rating=ParseFailure("bad_rating", "nan"), well_formed=True, cropped=False), seconds=0.0
    )
    assert (found.rating, found.failure) == (None, "bad_rating")
    assert not found.well_formed
    assert (found.rounds, found.box) == (1, None)
    assert json.dumps(found.failure)


def test_a_record_gives_back_what_rewards_read() -> None:
    """Texts, answers, ratings, format and box, of a trajectory that cropped and of one that failed."""
    asked = '<think>x</think><answer>{"bbox_2d": [0, 0, 0.5, 0.5], "rating": 2.00, "tool": "crop"}</answer>'
    record = replace(
        prediction("a", rating=4.25), rounds=2, texts=(asked, "unread"), tokens=(1, 1), mos_std=0.5, sample=3
    )
    found = rollout_of(record)
    assert prediction_of(found, seconds=0.5) == replace(record, tokens=(0, 0))
    assert found.turns[0].answer == Answer((0, 0, 0.5, 0.5), 2.0, "crop")
    assert (found.turns[0].rating, found.turns[1].rating) == (2.0, 4.25)
    failed = prediction("b", rating=None)
    assert prediction_of(rollout_of(failed), seconds=0.5) == replace(failed, tokens=(0,))

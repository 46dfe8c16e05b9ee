"""What loggers are told of a stage's end: its figures, the answers farthest off, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger
from PIL import Image

from support.made_run_folder import UNREADABLE, answer
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import Example, Sample, rated_example
from zoom_iqa.training.csv_log import CSVLog
from zoom_iqa.training.logged_steps import LoggedSteps
from zoom_iqa.training.stage_logs import SHOWN, ShownTrajectory, StageFacts, StageLogs, farthest_off


class Pictures:
    """Twelve images and more, of which each has a colour of its own."""

    def __init__(self, count: int) -> None:
        self._items = [rated_example(id=f"i{n}", dataset="made", mos=3.0) for n in range(count)]

    def items(self) -> Sequence[Example]:
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        return Sample.of(self._items[index], Image.new("RGB", (2, 2), (index, 0, 0)))


class Told(Logger):
    """Keeps everything it is told."""

    artifacts = ("report",)

    def __init__(self, facts: StageFacts) -> None:
        super().__init__()
        self.facts = facts
        self.heard: list[Any] = []

    @property
    def name(self) -> str:
        return "told"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.heard.append((dict(metrics), step))

    def log_trajectories(self, title: str, shown: Sequence[ShownTrajectory], *, step: int) -> None:
        self.heard.append((title, [one.record.example.id for one in shown], step))

    def log_files(self, kind: str, path: Path) -> None:
        self.heard.append((kind, path))

    def close(self, *, failed: bool) -> None:
        self.heard.append(failed)


def facts(folder: Path) -> StageFacts:
    return StageFacts(folder=folder, stage="sft", axis="optimizer_step", group="g")


def test_those_farthest_from_the_opinion_score_are_shown_with_their_pixels() -> None:
    ratings = {0: 3.1, 1: 1.0, 2: UNREADABLE, 3: 4.0}
    records = [answer(f"i{n}", 3.0, rating) for n, rating in ratings.items()]
    second = answer("i0", 3.0, 5.0, index=1)
    shown = farthest_off([*records, second], Pictures(4))
    assert [one.record.example.id for one in shown] == ["i2", "i1", "i3", "i0"]
    assert [one.image.getpixel((0, 0))[0] for one in shown] == [2, 1, 3, 0]
    many = [answer(f"i{n}", 3.0, 3.0) for n in range(SHOWN + 5)]
    assert len(farthest_off(many, Pictures(SHOWN + 5))) == SHOWN


def test_a_stages_end_is_told_to_loggers_that_last(tmp_path: Path) -> None:
    made: list[Told] = []

    def make(*, facts: StageFacts) -> Told:
        made.append(Told(facts))
        return made[-1]

    figures = {"srcc": 0.5, "plcc": "undefined (constant)", "n": 2, "failures": {"bad_tool": 1}}
    records = [answer("i0", 3.0, 3.5), answer("i1", 3.0, 2.0)]
    with StageLogs([make, CSVLog], facts(tmp_path)) as logs:
        logs.evaluated(figures, records, Pictures(2), step=40)
        assert (logs.keeps("report"), logs.keeps("policy")) == (True, False)
        logs.keep("report", tmp_path)
        logs.keep("policy", tmp_path)
    (log,) = made
    assert log.heard == [
        ({"eval/made/srcc": 0.5, "eval/made/n": 2.0}, 40),
        ("made", ["i1", "i0"], 40),
        ("report", tmp_path),
        False,
    ]
    assert not (tmp_path / "metrics.csv").exists()


def test_a_stage_that_fails_is_closed_as_failed(tmp_path: Path) -> None:
    made = Told(facts(tmp_path))
    with pytest.raises(RuntimeError), StageLogs([lambda *, facts: made], facts(tmp_path)):
        raise RuntimeError
    assert made.heard == [True]


def test_steps_are_remembered_over_processes_and_never_within_one(tmp_path: Path) -> None:
    first = LoggedSteps(tmp_path / "steps.json")
    assert first.missing(["a", "b"], 0) == ["a", "b"]
    first.add(["a"], 0)
    assert first.missing(["a"], 0) == ["a"]  # this process may log a step in parts
    again = LoggedSteps(tmp_path / "steps.json")
    assert again.missing(["a", "b"], 0) == ["b"]
    assert again.missing(["a", "b"], 1) == ["a", "b"]
    assert (first.rows, again.rows) == (1, 1)


def test_a_damaged_file_of_steps_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text('{"steps": [1]}')
    with pytest.raises(DataError, match=r"steps.json is damaged .*; remove it to log the stage anew"):
        LoggedSteps(tmp_path / "steps.json")

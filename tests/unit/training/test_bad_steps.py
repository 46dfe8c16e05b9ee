"""Bad steps are counted alike in all processes, and written down with the ids of those where the fault showed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.two_processes import in_two
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.processes import current_reducer
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.training.bad_steps import BAD_STEPS, BadSteps


def left_out(steps: BadSteps, folder: Path, number: int = 0) -> None:
    steps.bad([f"d:{number}"], reason="the loss", suspect=True, step=number, folder=folder, reducer=LocalReducer())


def test_only_those_in_a_row_count_and_they_are_taken_once(tmp_path: Path) -> None:
    steps = BadSteps(stage="grpo", max_bad_steps=2)
    left_out(steps, tmp_path)
    steps.good()
    left_out(steps, tmp_path, 1)
    assert steps.take_too_many() is None
    continued = BadSteps(stage="grpo", max_bad_steps=2)
    continued.load_state_dict(steps.state_dict())
    left_out(continued, tmp_path, 2)
    said = continued.take_too_many()
    assert said == "grpo: 2 steps in a row were not finite, the last at step 2, the loss: d:2"
    assert continued.take_too_many() is None  # a run that goes on has all its steps again
    assert len((tmp_path / BAD_STEPS).read_text().splitlines()) == 3


def test_a_rollout_that_is_learned_from_several_times_is_one_step_and_one_line(tmp_path: Path) -> None:
    steps = BadSteps(stage="grpo", max_bad_steps=2)
    for _ in range(4):
        left_out(steps, tmp_path)
    assert steps.take_too_many() is None
    left_out(BadSteps(stage="grpo", max_bad_steps=2), tmp_path)  # a killed run makes it again
    assert len((tmp_path / BAD_STEPS).read_text().splitlines()) == 1
    left_out(steps, tmp_path, 1)
    assert steps.take_too_many() is not None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_named_by_the_file(tmp_path: Path) -> None:
    (tmp_path / BAD_STEPS).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        left_out(BadSteps(stage="grpo", max_bad_steps=2), tmp_path)
    assert error.value.filename == str(tmp_path / BAD_STEPS)


def test_ids_from_outside_are_shown_as_a_terminal_may_show_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"d:\x1b[2J{n}\nx" for n in range(7)]
    steps = BadSteps(stage="sft", max_bad_steps=3)
    steps.bad(ids, reason="the loss", suspect=True, step=0, folder=tmp_path, reducer=LocalReducer())
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.strip().isprintable()
    assert "and 2 more; the step is left out (1 in a row, 3 end the run)" in said
    assert len(json.loads((tmp_path / BAD_STEPS).read_text())["ids"]) == 7


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sft\.module\.max_bad_steps=0 must be a whole number of at least 1"):
        BadSteps(stage="sft", max_bad_steps=0)


def of_process(number: int, folder: Path) -> str:
    steps, reducer = BadSteps(stage="grpo", max_bad_steps=2), current_reducer()
    for step, suspect in enumerate((number == 1, False)):
        ids = [f"d:{number}-{i}" for i in range(1 + number)]
        reason = "the loss" if suspect else "the gradient"
        steps.bad(ids, reason=reason, suspect=suspect, step=step, folder=folder, reducer=reducer)
    return steps.take_too_many()


def test_processes_agree(tmp_path: Path) -> None:
    """First the second process's loss is at fault, then nobody's: the norm of the sum is."""
    said = in_two(of_process, tmp_path)
    lines: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / BAD_STEPS).read_text().splitlines()]
    assert lines == [
        {"step": 0, "reasons": ["the loss"], "ids": ["d:1-0", "d:1-1"]},
        {"step": 1, "reasons": ["the gradient"], "ids": ["d:0-0", "d:1-0", "d:1-1"]},
    ]
    assert said[0] == said[1] != ""
    assert "2 steps in a row" in said[0]

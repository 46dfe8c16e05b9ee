"""TensorBoard's own reader reads back what a stage has logged, of a continued one each step once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from support.made_run_folder import answer
from zoom_iqa.training.stage_logs import ShownTrajectory, StageFacts
from zoom_iqa.training.tensorboard_log import FOLDER, TensorBoardLog, TensorBoardLogRecipe

reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")


def log_in(folder: Path) -> TensorBoardLog:
    return TensorBoardLogRecipe()(facts=StageFacts(folder=folder, stage="grpo", axis="rollout_step", group="g"))


def read(folder: Path) -> "reading.EventAccumulator":  # noqa: UP037  # the module may be absent
    return reading.EventAccumulator(str(folder / FOLDER)).Reload()


def continued(folder: Path, *, steps: int) -> TensorBoardLog:
    """The log of a stage that goes on after a process that logged so many steps and failed."""
    first = log_in(folder)
    for step in range(steps):
        first.log_metrics({"reward/total": float(step)}, step=step)
    first.close(failed=True)
    return log_in(folder)


def test_a_continued_stage_has_each_step_once(tmp_path: Path) -> None:
    again = continued(tmp_path, steps=4)
    for step in range(2, 6):
        again.log_metrics({"reward/total": float(10 * step)}, step=step)
    again.close(failed=False)
    points = [(event.step, event.value) for event in read(tmp_path).Scalars("reward/total")]
    assert points == [(0, 0.0), (1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0), (5, 50.0)]


def test_a_validation_that_is_made_up_for_leaves_its_steps_other_figures(tmp_path: Path) -> None:
    again = continued(tmp_path, steps=3)
    again.log_metrics({"val/d/srcc": 0.5}, step=2)
    again.log_metrics({"reward/total": 3.0}, step=3)
    again.close(failed=False)
    found = read(tmp_path)
    assert [event.step for event in found.Scalars("reward/total")] == [0, 1, 2, 3]
    assert [event.step for event in found.Scalars("val/d/srcc")] == [2]


def test_trajectories_are_texts_and_pictures(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    record = answer("a", 3.0, 2.0, 2.5, box=(4, 2, 12, 10), text="<b>\x1b[31m", rewards={"total": 1.5})
    log.log_trajectories("training", [ShownTrajectory(record=record, image=Image.new("RGB", (16, 12)))], step=3)
    log.close(failed=False)
    found = read(tmp_path)
    (text,) = found.Tensors("training/0/text_summary")
    said = text.tensor_proto.string_val[0].decode()
    assert said.startswith("    made:a: rating 2.5, total 1.500")
    assert "    <b>\\x1b[31m 0" in said  # indented: Markdown shows it as it is
    (picture,) = found.Images("training/0")
    assert (picture.width, picture.height, picture.step) == (16, 12, 3)

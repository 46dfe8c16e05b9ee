"""A run that is stopped more than once, in and after steps and while its policy is judged, ends as one that is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.changed_steps import before_batch
from support.forked_runs import ended, forked
from support.small_run import assert_same_end, rows
from zoom_iqa.base.errors import LateError
from zoom_iqa.training.grpo import GRPOModule
from zoom_iqa.training.validation import BenchmarkEvaluation

SETTINGS = (
    *("grpo.steps=5", "grpo.checkpoint_every=100", "data.val.size=3"),
    *("callbacks=validation", "callbacks.validation.every=2"),
)


@pytest.fixture(scope="module")
def finished(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert ended(forked(run, policy, *SETTINGS)) == 0
    return run


def no_more_answers() -> None:
    raise LateError("the engine is gone")


def asked_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_step_that_was_saved_within_leaves_later_stops_their_places(
    policy: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for step, act, status in ((1, no_more_answers, 2), (2, asked_to_stop, 143), (3, asked_to_stop, 143)):
        assert ended(forked(run, policy, *SETTINGS, first=before_batch(GRPOModule, step, act))) == status
    assert ended(forked(run, policy, *SETTINGS)) == 0
    assert_same_end(run, finished)


def asked_while_judged(step: int) -> Callable[[], object]:
    """A change by which the evaluation after a step is asked to stop."""
    evaluate = BenchmarkEvaluation._evaluate

    def changed(self: Any, trainer: Any, module: Any, done: int) -> Any:
        if done == step and type(module) is GRPOModule:
            asked_to_stop()
        return evaluate(self, trainer, module, done)

    return lambda: setattr(BenchmarkEvaluation, "_evaluate", changed)


def test_the_last_evaluation_is_made_up_for_however_often_it_is_stopped(
    policy: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for _ in range(3):
        assert ended(forked(run, policy, *SETTINGS, first=asked_while_judged(4))) == 143
    assert ended(forked(run, policy, *SETTINGS)) == 0
    assert rows(run, "grpo")[-1]["val/embedded/pair_accuracy"]
    assert_same_end(run, finished)

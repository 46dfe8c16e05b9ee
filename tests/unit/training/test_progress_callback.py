"""A stage of training shows its bar in a terminal, and leaves the terminal as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from support.terminal import HIDDEN, SHOWN, counts_in, seen_by_terminal
from zoom_iqa.training.progress_callback import StageProgress


@pytest.mark.parametrize("end", ["on_train_end", "on_exception"])
def test_its_steps_and_figures(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = SimpleNamespace(current=SimpleNamespace(processed=2))  # a continued run
    trainer: Any = SimpleNamespace(
        is_global_zero=True,
        num_training_batches=4,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )
    module: Any = type("GRPOModule", (), {"figures": {"reward/total": 2.5}})()
    callback = StageProgress(figures=["reward/total"])

    def work() -> None:
        callback.on_train_start(trainer, module)
        callback.on_train_batch_end(trainer, module, None, None, 2)
        getattr(callback, end)(*((trainer, module) if end == "on_train_end" else (trainer, module, ValueError())))

    text = seen_by_terminal(work, monkeypatch)
    assert text.startswith(HIDDEN)
    assert "GRPO" in text
    assert counts_in(text)[-1] == "3/4"
    assert "total 2.5" in text
    assert SHOWN in text

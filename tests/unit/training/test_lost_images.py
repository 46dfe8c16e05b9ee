"""Lost images are counted by file, written down once, and end a stage before a step where there are too many."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.two_processes import in_two
from zoom_iqa.base.errors import TrainingError
from zoom_iqa.data.loader import Batch
from zoom_iqa.data.viewable import LostImage
from zoom_iqa.training.lost_images import LOST_IMAGES, EndOfLostImages


class Trainer:
    def __init__(self, folder: Path) -> None:
        self.default_root_dir = str(folder)
        self.saved: list[Path] = []
        self.logged: list[tuple[dict[str, float], int]] = []
        self.loggers = [SimpleNamespace(log_metrics=lambda figures, step: self.logged.append((figures, step)))]

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        assert not weights_only
        self.saved.append(path)


def batch(*files: str) -> Batch:
    found = Batch([1, 2])
    found.lost = tuple(LostImage(f"d:{file}#{n}", file, f"{file}: no such file") for n, file in enumerate(files))
    return found


def steps(callback: EndOfLostImages, trainer: Any, *batches: Batch) -> None:
    module: Any = None
    for number, one in enumerate(batches):
        callback.on_train_batch_start(trainer, module, one, number)
        callback.on_train_batch_end(trainer, module, None, one, number)


def test_each_file_counts_once_and_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, callback = Trainer(tmp_path), EndOfLostImages(stage="grpo", path=Path("last.ckpt"), limit=2)
    steps(callback, trainer, batch(), batch("a", "a"), batch("a"), batch("b", "a"))
    counts = (0.0, 1.0, 1.0, 2.0)
    assert trainer.logged == [({"data/lost_images": count}, step) for step, count in enumerate(counts)]
    written = [json.loads(line) for line in (tmp_path / LOST_IMAGES).read_text().splitlines()]
    assert written == [
        {"name": "d:a#0", "reason": "a: no such file", "step": 1},
        {"name": "d:b#0", "reason": "b: no such file", "step": 3},
    ]
    assert capsys.readouterr().err.splitlines()[1] == "images lost so far: 1, at most 2"
    assert trainer.saved == []


def test_one_too_many_ends_the_stage_saved_before_the_step_and_what_goes_on_counts_anew(tmp_path: Path) -> None:
    trainer, callback = Trainer(tmp_path), EndOfLostImages(stage="grpo", path=Path("last.ckpt"), limit=1)
    steps(callback, trainer, batch("a"))
    again = EndOfLostImages(stage="grpo", path=Path("last.ckpt"), limit=1)
    again.load_state_dict(callback.state_dict())
    with pytest.raises(
        TrainingError, match=r"2 images .* \(grpo\.data\.max_lost_images=1\), .* before step 0 is saved"
    ):
        steps(again, trainer, batch("b"))
    assert trainer.saved == [Path("last.ckpt")]
    assert again.state_dict() == {"lost": []}


def in_process(number: int, folder: Path) -> str:
    trainer, callback = Trainer(folder), EndOfLostImages(stage="grpo", path=Path("last.ckpt"), limit=0)
    with pytest.raises(TrainingError) as error:
        callback.on_train_batch_start(trainer, None, batch(*["a"] * number), 0)  # type: ignore[arg-type]
    assert trainer.saved == [Path("last.ckpt")]
    return str(error.value)


def test_a_loss_in_one_process_ends_both(tmp_path: Path) -> None:
    first, second = in_two(in_process, tmp_path)
    assert first == second
    assert first.startswith("1 images of the training set can be read no more")

"""When checkpoints are written, and that one is whole at any moment."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zoom_iqa.training.checkpoints import AtomicCheckpointIO, StageCheckpoint


def test_a_checkpoint_after_every_so_many_steps() -> None:
    saved: list[int] = []
    callback = StageCheckpoint(path=Path("last.ckpt"), every=2)
    for batch in range(5):
        trainer: Any = SimpleNamespace(save_checkpoint=lambda path, weights_only, batch=batch: saved.append(batch + 1))
        callback.on_train_batch_end(trainer, SimpleNamespace(), None, None, batch)  # type: ignore[arg-type]
    assert saved == [2, 4]


class Unpicklable:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_a_run_killed_while_it_saves_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    io.save_checkpoint({"state": torch.ones(3)}, path)
    with pytest.raises(KeyboardInterrupt):
        io.save_checkpoint({"state": torch.zeros(3), "rest": Unpicklable()}, path)
    assert torch.equal(io.load_checkpoint(path)["state"], torch.ones(3))
    io.save_checkpoint({"state": torch.zeros(3)}, path)
    assert torch.equal(io.load_checkpoint(path)["state"], torch.zeros(3))
    assert [left.name for left in path.parent.iterdir()] == ["last.ckpt"]

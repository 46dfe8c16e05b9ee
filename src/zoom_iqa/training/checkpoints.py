"""The checkpoint a stopped stage goes on from: one file, replaced every so many steps, whole at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.base.errors import StoppedError
from zoom_iqa.parallel.stopping import agreed_stop


class StageCheckpoint(Checkpoint):
    """Writes ``path`` after every ``every`` steps: optimizer steps of SFT, rollouts of GRPO; a batch is one.

    Asked to stop, it writes it after the step in hand and ends the stage by StoppedError, in all processes at once.
    """

    def __init__(self, *, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where a step is complete."""
        asked = agreed_stop()
        if asked is not None or (batch_idx + 1) % self._every == 0:
            trainer.save_checkpoint(self._path, weights_only=False)
        if asked is not None:
            raise StoppedError(asked)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and moves it there: a run killed while it saves keeps the checkpoint before.

    Lightning's own goes through memory and the folder for temporary files, from where a move is a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_binary_file(target) as file:
            torch.save(checkpoint, file)

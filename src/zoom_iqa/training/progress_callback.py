"""A progress line per stage, with the time left and the figures that say whether it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L

from zoom_iqa.base.progress import ProgressLine


class StageProgress(L.Callback):
    """Shows the stage's steps; ``figures`` are names in the module's ``figures``, shown by their last part."""

    def __init__(self, *, figures: Sequence[str]) -> None:
        self._figures = tuple(figures)
        self._line: ProgressLine | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the line, at the step a continued run has reached."""
        if trainer.is_global_zero:
            title = type(pl_module).__name__.removesuffix("Module")
            self._line = ProgressLine(title, total=int(trainer.num_training_batches))
            done: int = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
            self._line.start_at(done)
            self._line.open()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step."""
        if self._line is not None:
            found: Mapping[str, float] = getattr(pl_module, "figures", {})
            self._line.advance(figures={n.rsplit("/")[-1]: found[n] for n in self._figures if n in found})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the line."""
        if self._line is not None:
            self._line.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Leave the terminal usable."""
        self.on_train_end(trainer, pl_module)

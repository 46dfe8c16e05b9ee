"""Images that could be read when a stage began, and no more: others take their places, they are counted, and end a run
if many.

Processes of a run agree: a loss in one counts in all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lightning as L

from zoom_iqa.base.errors import TrainingError
from zoom_iqa.data.loader import Batch
from zoom_iqa.data.viewable import LostImage
from zoom_iqa.parallel.agreement import gathered_lines
from zoom_iqa.parallel.processes import current_reducer, rank
from zoom_iqa.training.step_notes import write_once

LOST_IMAGES = "lost_images.jsonl"
"""Below the trainer's root: a line for each image that was lost, with its name, the reason and the step."""
FIGURE = "data/lost_images"
"""How many images the stage has lost."""


class EndOfLostImages(L.Callback):
    """Counts lost images by file; where there are more than ``limit``, saves ``path`` and ends the stage.

    It looks before each step, which is then not begun: the run that goes on makes it with the images it finds.
    """

    def __init__(self, *, stage: str, path: Path, limit: int) -> None:
        self._stage, self._path, self._limit = stage, path, limit
        self._lost: list[str] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count what was lost on the way to this batch; every process must come here.

        Raises:
            TrainingError: there are too many.
        """
        own = batch.lost if isinstance(batch, Batch) else ()
        found = [json.dumps([lost.name, lost.file, lost.reason]) for lost in own]
        everywhere = [LostImage(*json.loads(line)) for line in gathered_lines(found, current_reducer())]
        new: dict[str, LostImage] = {}
        for lost in everywhere:
            if lost.file not in self._lost:
                new.setdefault(lost.file, lost)
        self._lost += new
        if rank() == 0:
            self._write(list(new.values()), step=batch_idx, folder=Path(trainer.default_root_dir))
        if new and len(self._lost) > self._limit:
            count, self._lost = len(self._lost), []  # a run that goes on counts anew
            trainer.save_checkpoint(self._path, weights_only=False)
            raise TrainingError(
                f"{count} images of the training set can be read no more ({self._stage}.data.max_lost_images="
                f"{self._limit}), all in {Path(trainer.default_root_dir) / LOST_IMAGES}; everything before step "
                f"{batch_idx} is saved: put them back"
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log how many there are, beside the step's other figures."""
        for logger in trainer.loggers:
            logger.log_metrics({FIGURE: float(len(self._lost))}, step=batch_idx)

    def state_dict(self) -> dict[str, Any]:
        """State that a continued run needs."""
        return {"lost": list(self._lost)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._lost = list(state_dict["lost"])

    def _write(self, new: list[LostImage], *, step: int, folder: Path) -> None:
        if not new:
            return
        write_once(folder / LOST_IMAGES, [{"name": lost.name, "reason": lost.reason, "step": step} for lost in new])
        for lost in new:
            print(f"warning: an image is lost, {lost.reason}; others take its place", file=sys.stderr)
        print(f"images lost so far: {len(self._lost)}, at most {self._limit}", file=sys.stderr)

"""A callback that fails in one process of a run when a file ``now`` appears in its folder. Configs name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from zoom_iqa.parallel.processes import rank


class FaultAt(L.Callback):
    def __init__(self, *, rank: int) -> None:
        self._rank = rank

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if rank() == self._rank and (Path(trainer.default_root_dir).parents[1] / "now").exists():
            raise RuntimeError("a fault on purpose")

"""A callback that shows a test what each process holds at the end of a stage. Configs name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch


class RankWeights(L.Callback):
    def __init__(self, *, folder: str) -> None:
        self._folder = Path(folder)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        name = f"{type(pl_module).__name__}-{trainer.global_rank}.pt"
        torch.save({key: value.clone() for key, value in pl_module.state_dict().items()}, self._folder / name)

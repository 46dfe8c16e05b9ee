"""A callback that ends a run where the environment says, as a signal would. Configs name it."""

from __future__ import annotations

import os
import signal
from typing import Any

import lightning as L

from zoom_iqa.base.errors import StoppedError

STOP_AT = "STOP_AT"


class StopAt(L.Callback):
    """``STOP_AT=grpo:1`` ends the run within the second step of GRPO, before it is saved."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        stage = type(pl_module).__name__.removesuffix("Module").lower()
        if os.environ.get(STOP_AT) == f"{stage}:{batch_idx}":
            raise StoppedError(signal.SIGTERM)

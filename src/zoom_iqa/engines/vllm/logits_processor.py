"""Our draws as a logits processor of vLLM, the hook it has for them: all but the drawn token become impossible."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from zoom_iqa.engines.vllm.drawing import Drawing

KEY = "key"
"""In a request's extra arguments: its key."""


class ForcedDraws(LogitsProcessor):
    """Asks ``drawing`` for the token of every row; a subclass for each served model has one.

    vLLM says which requests its rows are of, and lends the list of a request's tokens so far.
    """

    drawing: ClassVar[Drawing]

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, tuple[str, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """It decides what the argmax is."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests that leave, join and move, in this order."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, params, _, output_ids in batch_update.added:
            self._rows[index] = (params.extra_args[KEY], output_ids)
        for here, there, direction in batch_update.moved:
            moving, other = self._rows.pop(here, None), self._rows.pop(there, None)
            if moving is not None:
                self._rows[there] = moving
            if other is not None and direction == MoveDirectionality.SWAP:
                self._rows[here] = other

    def apply(self, logits: Tensor) -> Tensor:
        """Leave each row the one token drawn for it."""
        rows = [(key, len(output_ids)) for key, output_ids in (self._rows[row] for row in range(len(logits)))]
        token_R = self.drawing(logits, rows)
        return logits.fill_(-torch.inf).scatter_(1, token_R[:, None], 0.0)

"""Operations over processes that objectives need, as a protocol, so that this floor knows no torch.distributed.

Everything ranked or normalised across the batch goes through a reducer: with one process it changes nothing.
"""

from __future__ import annotations

from typing import Protocol

import torch


class Reducer(Protocol):
    """Collective operations over the processes of a run. Every process must call them in the same order."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over the processes; shape unchanged."""
        ...

    def gather(self, values: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Concatenate over processes along the first axis, in rank order; lengths may differ between processes.

        Returns the concatenation (the same on every process) and the offset at which this process's rows start.
        """
        ...


class LocalReducer:
    """The reducer of a single process."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values: there is nobody to add."""
        return values

    def gather(self, values: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return the values, which start at row 0."""
        return values, 0

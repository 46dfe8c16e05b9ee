"""Several processes played by threads: a reducer that exchanges tensors at a barrier, in rank order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
import torch

from zoom_iqa.parallel.reducer import Reducer

T = TypeVar("T")


class ThreadReducer:
    def __init__(self, rank: int, board: list[torch.Tensor | None], barrier: threading.Barrier) -> None:
        self._rank, self._board, self._barrier = rank, board, barrier

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return torch.stack(self._exchange(values)).sum(0)

    def gather(self, values: torch.Tensor) -> tuple[torch.Tensor, int]:
        parts = self._exchange(values)
        return torch.cat(parts), sum(len(part) for part in parts[: self._rank])

    def _exchange(self, values: torch.Tensor) -> list[torch.Tensor]:
        self._board[self._rank] = values.clone()
        self._barrier.wait(timeout=10)
        parts = [part for part in self._board if part is not None]
        self._barrier.wait(timeout=10)
        return parts


@pytest.fixture
def on_ranks() -> Callable[[int, Callable[[int, Reducer], T]], list[T]]:
    """Run ``work(rank, reducer)`` on so many ranks at once; results in rank order."""

    def run(n_ranks: int, work: Callable[[int, Reducer], T]) -> list[T]:
        board: list[torch.Tensor | None] = [None] * n_ranks
        barrier = threading.Barrier(n_ranks)
        with ThreadPoolExecutor(n_ranks) as pool:
            jobs = [pool.submit(work, rank, ThreadReducer(rank, board, barrier)) for rank in range(n_ranks)]
            return [job.result(timeout=20) for job in jobs]

    return run

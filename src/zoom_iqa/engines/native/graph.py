"""A step captured once as a CUDA graph and replayed: one launch instead of hundreds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from zoom_iqa.engines.native.cohort import Cohort


class ReplayedStep:
    """Runs ``step`` as it is when the cohorts have changed (which also warms up), captures it next time, then replays.

    ``step`` must do nothing but launch kernels on the cohorts' memory, the same ones until a version changes.
    """

    def __init__(self, step: Callable[[Sequence[Cohort]], None]) -> None:
        self._step = step
        self._captured: tuple[int, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, cohorts: Sequence[Cohort]) -> None:
        """Advance the cohorts by one step."""
        versions = tuple(cohort.version for cohort in cohorts)
        if versions != self._captured:
            self._captured, self._graph = versions, None
            self._step(cohorts)
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._step(cohorts)
        self._graph.replay()

"""Training modules that do something before one of their steps: fail, wait, kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def acting_before(step: Callable[..., Any], batch: int, act: Callable[[], object]) -> Callable[..., Any]:
    """A module's ``training_step`` that acts first where the batch of this number comes."""

    def changed(self: Any, samples: Any, batch_idx: int) -> Any:
        if batch_idx == batch:
            act()
        return step(self, samples, batch_idx)

    return changed


def before_batch(module: Any, batch: int, act: Callable[[], object]) -> Callable[[], object]:
    """A change to a class of modules, for a process to begin with; changes add up."""
    return lambda: setattr(module, "training_step", acting_before(module.training_step, batch, act))


def in_process(local_rank: int, act: Callable[[], object]) -> Callable[[], object]:
    """The same act, in one process of a run alone."""
    return lambda: act() if os.environ.get("LOCAL_RANK", "0") == str(local_rank) else None


def killed() -> None:
    raise RuntimeError("killed")

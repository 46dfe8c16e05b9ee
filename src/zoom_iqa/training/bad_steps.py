"""Steps that came to a loss or gradient that is not finite: they are left out, written down, and end a run if many.

A placement sees to it that such a step reaches no weight and no state of the optimizer, in any process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch

from zoom_iqa.base.errors import TrainingError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.ranges import require_whole
from zoom_iqa.parallel.agreement import gathered_lines
from zoom_iqa.parallel.processes import rank
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.training.step_notes import write_once

BAD_STEPS = "bad_steps.jsonl"
"""Below the trainer's root: a line for each step that was left out, with its reason and the ids it was of."""
SHOWN = 5


class BadSteps:
    """Counts steps in a row of which optimizer steps were left out; ``max_bad_steps`` of them are too many.

    A rollout is one step, however often its images are learned from, and bad where any of its updates was left out.

    Raises:
        ConfigError: the number is below 1.
    """

    def __init__(self, *, stage: str, max_bad_steps: int) -> None:
        check_max_bad_steps(stage, max_bad_steps)
        self._stage, self._max = stage, max_bad_steps
        self._in_a_row = 0
        self._last, self._last_step = "", -1

    def good(self) -> None:
        """A step of which nothing was left out."""
        self._in_a_row = 0

    def bad(self, ids: Sequence[str], *, reason: str, suspect: bool, step: int, folder: Path, reducer: Reducer) -> None:
        """A step was left out, of the images ``ids`` of this process; every process must call it.

        ``suspect`` says whether the fault showed in this process. Where it showed in some, their ids are written down,
        else, for a gradient that is too large in sum, those of all.
        """
        again = step == self._last_step  # of a rollout: another pass over it, or other images of it
        self._in_a_row += not again
        self._last_step = step
        suspects, _ = reducer.gather(torch.tensor([float(suspect)]))
        reasons = gathered_lines([reason] if suspect or not suspects.any() else [], reducer)
        named = gathered_lines(ids if suspect or not suspects.any() else [], reducer)
        self._last = f"step {step}, {', '.join(dict.fromkeys(reasons))}: {_shown(named)}"
        if rank() != 0:
            return
        write_once(folder / BAD_STEPS, [{"step": step, "reasons": list(dict.fromkeys(reasons)), "ids": named}])
        limit = f"{self._in_a_row} in a row, {self._max} end the run"
        print(f"warning: {self._stage} {printable(self._last)}; the step is left out ({limit})", file=sys.stderr)

    def take_too_many(self) -> str | None:
        """A message where there are too many in a row, which are then counted anew; None elsewhere."""
        if self._in_a_row < self._max:
            return None
        count, self._in_a_row = self._in_a_row, 0
        return f"{self._stage}: {count} steps in a row were not finite, the last at {printable(self._last)}"

    def state_dict(self) -> dict[str, Any]:
        """State that a continued run needs."""
        return {"in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._in_a_row = state["in_a_row"]


class EndOfBadSteps(L.Callback):
    """Saves ``path`` where a module has too many bad steps in a row, none of which has touched its weights, and ends.

    The module has its ``bad_steps``.
    """

    def __init__(self, *, path: Path) -> None:
        self._path = path

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look after each whole step; processes have counted the same.

        Raises:
            TrainingError: there are too many.
        """
        counted: Any = pl_module.bad_steps
        said = counted.take_too_many()
        if said is not None:
            trainer.save_checkpoint(self._path, weights_only=False)
            raise TrainingError(
                f"{said}; the weights before them are saved, and the run goes on after these images: look at them in "
                f"{Path(trainer.default_root_dir) / BAD_STEPS}, mend a reward term that is named, or start another run "
                "with a lower learning rate"
            )


def check_max_bad_steps(stage: str, value: int) -> None:
    """Pass a whole number of at least 1.

    Raises:
        ConfigError: it is not.
    """
    require_whole(f"{stage}.module.max_bad_steps", value, least=1)


def _shown(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more

"""The checkpoint a stopped stage goes on from: replaced every so many steps, whole at any moment, looked at before use.

A file is torch's zip archive, whose records bear checksums; torch itself does not look at them.
"""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.base.errors import BudgetError, CheckpointError, ServerError, StoppedError
from zoom_iqa.base.tensor_names import require_fit
from zoom_iqa.parallel.processes import world_size
from zoom_iqa.parallel.stopping import agreed_stop

FORMAT = 1
"""Raised when what a checkpoint holds changes its names or meaning."""
_FORMAT_KEY = "zoom_iqa_format"


class StageCheckpoint(Checkpoint):
    """Writes ``path`` after every ``every`` steps: optimizer steps of SFT, rollouts of GRPO; a batch is one.

    Asked to stop, it writes it after the step in hand and ends the stage by StoppedError, in all processes at once.
    """

    def __init__(self, *, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where a step is complete."""
        asked = agreed_stop()
        if asked is not None or (batch_idx + 1) % self._every == 0:
            trainer.save_checkpoint(self._path, weights_only=False)
        if asked is not None:
            raise StoppedError(asked)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save where a server's answers have come to an end: the step in hand has changed nothing yet.

        In one process alone, as the others of several do not know and would be waited for: they have their last one.
        """
        if isinstance(exception, BudgetError | ServerError) and world_size() == 1:
            trainer.save_checkpoint(self._path, weights_only=False)


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to files: beside the target and moved there, the one before kept, and nothing run when loaded.

    Lightning's own goes through memory and the folder for temporary files, from where a move is a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_binary_file(target, before=before(target)) as file:
            try:
                torch.save({**checkpoint, _FORMAT_KEY: FORMAT}, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch's archive hides why it is incomplete
                    raise error.__context__ from error
                raise

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Load tensors and plain values."""
        return load_checkpoint(Path(path))


def before(path: Path) -> Path:
    """The place of the checkpoint that ``path`` has replaced."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def load_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint, on the CPU; no code of it is run.

    Raises:
        CheckpointError: it holds something else, or is of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} is no checkpoint of tensors and plain values ({said}); {_ANEW}") from error
    found = state.get(_FORMAT_KEY) if isinstance(state, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path} has format {found}, this version reads {FORMAT}; {_ANEW}")
    return state


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(value.shape) for name, value in state.items()}


def require_fitting(module: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Pass a checkpoint whose tensors are those of the module that goes on from it.

    Raises:
        CheckpointError: a tensor is missing, renamed, left over or of another shape.
    """
    where = "the checkpoint to go on from"
    require_fit(shapes_of(module.state_dict()), shapes_of(checkpoint["state_dict"]), where=where)


def resumable(path: Path) -> Path | None:
    """The checkpoint to go on from, looked at: ``path``; where it is damaged, the one before, which takes its place.

    None where there is none. For the first process alone.

    Raises:
        CheckpointError: none that is there is whole.
    """
    kept = before(path)
    if not path.exists():
        if not kept.exists():
            return None
        os.replace(kept, path)
    damage = damage_of(path)
    if damage is None:
        return path
    if not kept.exists() or damage_of(kept) is not None:
        raise CheckpointError(f"{path} is damaged ({damage}), and no whole one from before is there; {_ANEW}")
    print(f"warning: {path} is damaged ({damage}); going on from the one before, {kept.name}", file=sys.stderr)
    os.replace(kept, path)
    return path


def require_whole(path: Path) -> None:
    """Pass a checkpoint whose records are as they were written.

    Raises:
        CheckpointError: one is not.
    """
    damage = damage_of(path)
    if damage is not None:
        raise CheckpointError(f"{path} is damaged ({damage}); {_ANEW}")


def remove(path: Path) -> None:
    """Remove a checkpoint and the one before it."""
    for left in (path, before(path)):
        left.unlink(missing_ok=True)


def damage_of(path: Path) -> str | None:
    """The fault of the file, by the checksums it holds; None for a whole one. All of it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            record = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None if record is None else f"the checksum of its record {record} does not hold"


_ANEW = "remove it, and the same command trains this stage anew"

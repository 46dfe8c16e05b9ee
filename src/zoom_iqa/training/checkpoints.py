"""The checkpoint a stopped stage goes on from: replaced every so many steps, whole at any moment, looked at before use.

A file is torch's zip archive, whose records bear checksums; torch itself does not look at them.
"""

from __future__ import annotations

import os
import pickle
import sys
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.base.errors import AnswersError, CheckpointError, StoppedError
from zoom_iqa.base.tensor_names import require_fit
from zoom_iqa.parallel.pieces import Part, Pieces, pieced, put_together
from zoom_iqa.parallel.processes import from_first, rank, wait_for_all, world_size
from zoom_iqa.parallel.stopping import agreed_stop
from zoom_iqa.training.checkpoint_pieces import NAMES, parts_in, piece_names, remove_unnamed, save_piece

FORMAT = 1
"""Raised when what a checkpoint holds changes its names or meaning."""
_FORMAT_KEY = "zoom_iqa_format"
MASTER, STEP = "master", "step"
"""Of an optimizer's states: the float32 weight, and the number of steps, which is no tensor like the weight."""


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
        """Save where answers have come to an end, or a validation was stopped; all processes agree.

        In a step that is in hand they do before it has changed anything, and after a step in a callback that knows it.
        """
        if isinstance(exception, AnswersError) or (isinstance(exception, StoppedError) and exception.whole):
            trainer.save_checkpoint(self._path, weights_only=False)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Mend Lightning's counts that a checkpoint from within a step or after the last one leaves wrong.

        A stage is one epoch. Of a step that was not completed Lightning takes back the epoch's count and not that of
        all epochs, by which it would take every later checkpoint for one from within a step; and an epoch whose last
        step is made counts as ended, so that an evaluation after it would not be made up for a second time.
        """
        loops = checkpoint["loops"]["fit_loop"]
        loops["epoch_loop.batch_progress"]["total"] = dict(loops["epoch_loop.batch_progress"]["current"])
        for counts in loops["epoch_progress"].values():
            counts.update(ready=1, started=1, processed=0, completed=0)


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to files: beside the target and moved there, the last ``keep`` kept, and nothing run when loaded.

    Lightning's own goes through memory and the folder for temporary files, from where a move is a copy.
    """

    def __init__(self, *, keep: int) -> None:
        super().__init__()
        self._keep = keep

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            self._make_room(target)
        with whole_binary_file(target, before=before(target) if self._keep > 1 else None) as file:
            try:
                torch.save({**checkpoint, _FORMAT_KEY: FORMAT}, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch's archive hides why it is incomplete
                    raise error.__context__ from error
                raise

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Load tensors, pieces of them and plain values; one process alone has whole tensors."""
        if world_size() == 1:
            return put_together(load_checkpoint(Path(path)))
        return load_checkpoint(Path(path), mmap=True)  # of the pieces each reads its own

    def save_in_pieces(self, checkpoint: dict[str, Any], parts: Mapping[str, Tensor], path: Path) -> None:
        """Save ``parts`` of every process, then in the first the ``checkpoint`` that names them; all must call it."""
        token = from_first(lambda: uuid.uuid4().hex[:8])
        names = piece_names(path, token=token, processes=world_size())
        save_piece(path.with_name(names[rank()]), parts)
        wait_for_all()
        if rank() == 0:
            self.save_checkpoint({**checkpoint, NAMES: names}, path)
            _remove_unnamed(path.parent)

    def _make_room(self, target: Path) -> None:
        """Move those before one place further; the last of as many as are kept makes way."""
        for number in range(self._keep - 1, 1, -1):
            newer = before(target, number - 1)
            if newer.exists():
                os.replace(newer, before(target, number))


def before(path: Path, number: int = 1) -> Path:
    """The place of the checkpoint that ``path`` has replaced, or of one from before that, ``number`` saves back."""
    return path.with_name(f"{path.stem}-before{'' if number == 1 else f'-{number}'}{path.suffix}")


def all_before(path: Path) -> list[Path]:
    """The checkpoints from before ``path`` that are there, the newest first."""
    found = path.parent.glob(f"{path.stem}-before*{path.suffix}")
    return sorted(found, key=lambda kept: (len(kept.name), kept.name))


def load_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint, on the CPU; no code of it is run. Tensors that were cut up are Pieces.

    Raises:
        CheckpointError: it holds something else, or is of another version, or a file that it names is missing.
    """
    state = _loaded(path, mmap=mmap)
    found = state.get(_FORMAT_KEY) if isinstance(state, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path} has format {found}, this version reads {FORMAT}; {_anew(path)}")
    names = state.pop(NAMES, [])
    if not names:
        return dict(state)
    try:
        files = [parts_in(_loaded(path.with_name(str(name)), mmap=mmap)) for name in names]
        return dict(pieced(state, files))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is in pieces, of which {error.filename} is missing; put it back") from error
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} and the files beside it do not belong together ({error}); {_anew(path)}"
        ) from error


def _loaded(path: Path, *, mmap: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} is no checkpoint of tensors and plain values ({said}); {_anew(path)}") from error


def shapes_of(state: Mapping[str, Tensor | Pieces | Part]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(value.shape) for name, value in state.items()}


def require_fitting(module: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Pass a checkpoint whose tensors are those of the module that goes on from it, its optimizer's states too.

    A parameter that no gradient has reached has no states but a master.

    Raises:
        CheckpointError: a tensor is missing, renamed, left over or of another shape.
    """
    where = "the checkpoint to go on from"
    require_fit(shapes_of(module.state_dict()), shapes_of(checkpoint["state_dict"]), where=where)
    for kept in checkpoint.get("optimizer_states", ()):
        states = dict(enumerate(kept["states"])) if "states" in kept else kept["state"]
        found = {number: _tensors_of(state) for number, state in states.items()}
        if not found:
            continue
        ((names, _),) = Counter(frozenset(state) for state in found.values()).most_common(1)
        expected: dict[str, tuple[int, ...]] = {}
        there: dict[str, tuple[int, ...]] = {}
        trained = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
        for number, (name, parameter) in enumerate(trained):
            own = found.get(number, {})
            needed = names if own.keys() - {MASTER} else names & {MASTER}
            expected |= {f"{key} of {name}": () if key == STEP else tuple(parameter.shape) for key in needed}
            there |= {f"{key} of {name}": tuple(value.shape) for key, value in own.items()}
        require_fit(expected, there, where=f"the optimizer's states of {where}")


def _tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor | Pieces]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor | Pieces)}


def resumable(path: Path) -> Path | None:
    """The checkpoint to go on from, looked at: ``path``; where it is damaged, the newest whole one from before it,
    which takes its place.

    None where there is none. For the first process alone.

    Raises:
        CheckpointError: none that is there is whole.
    """
    kept = all_before(path)
    if not path.exists():
        if not kept:
            return None
        os.replace(kept.pop(0), path)
    damage = damage_of(path)
    if damage is None:
        return path
    whole = next((older for older in kept if damage_of(older) is None), None)
    if whole is None:
        raise CheckpointError(f"{path} is damaged ({damage}), and no whole one from before is there; {_anew(path)}")
    print(f"warning: {path} is damaged ({damage}); going on from one before, {whole.name}", file=sys.stderr)
    os.replace(whole, path)
    return path


def require_whole(path: Path) -> None:
    """Pass a checkpoint whose records are as they were written.

    Raises:
        CheckpointError: one is not.
    """
    damage = damage_of(path)
    if damage is not None:
        raise CheckpointError(f"{path} is damaged ({damage}); {_anew(path)}")


def remove(path: Path) -> None:
    """Remove a checkpoint and those before it."""
    for left in (path, *all_before(path)):
        left.unlink(missing_ok=True)
    _remove_unnamed(path.parent)


def _remove_unnamed(folder: Path) -> None:
    named = {name for path in folder.glob("*.ckpt") for name in _named_in(path)}
    remove_unnamed(folder, named=named)


def _named_in(path: Path) -> list[str]:
    """The files that a checkpoint names; none for one that cannot be read."""
    try:
        state = _loaded(path, mmap=True)
    except CheckpointError:
        return []
    return [str(name) for name in state.get(NAMES, [])] if isinstance(state, dict) else []


def damage_of(path: Path) -> str | None:
    """The fault of a checkpoint, by the checksums that it and the files it names hold; None for a whole one.

    All of it is read.
    """
    damage = _damage_of_file(path)
    if damage is not None:
        return damage
    for piece in map(path.with_name, _named_in(path)):
        damage = _damage_of_file(piece) if piece.exists() else "it is missing"
        if damage is not None:
            return f"{piece.name}: {damage}"
    return None


def _damage_of_file(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            record = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None if record is None else f"the checksum of its record {record} does not hold"


def _anew(path: Path) -> str:
    both = path.with_name(f"{path.stem}*{path.suffix}")  # those from before, which would take its place
    return f"remove {both}, and the same command trains this stage anew"

"""One stage of a run: its module, data and trainer, continued from where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.base.tensor_names import require_fit
from zoom_iqa.base.types import Example
from zoom_iqa.data.collation import worker_losses
from zoom_iqa.parallel.placement import Placement
from zoom_iqa.parallel.processes import from_first, rank, world_size
from zoom_iqa.parallel.stopping import stepping
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.bad_steps import EndOfBadSteps
from zoom_iqa.training.checkpoints import (
    CheckpointFiles,
    StageCheckpoint,
    all_before,
    load_checkpoint,
    remove,
    require_whole,
    resumable,
    shapes_of,
)
from zoom_iqa.training.lost_images import EndOfLostImages
from zoom_iqa.training.stage_data import StageData
from zoom_iqa.training.strategy import PlacedStrategy

CHECKPOINT_DONE = "done.ckpt"
CHECKPOINT_LAST = "last.ckpt"
MODEL = "model."
"""The place of the policy's model in a stage's module, and so the begin of its tensors' names."""


class ModuleRecipe(Protocol):
    """All of a stage's module but the policy: called with one, it makes the module."""

    @property
    def axis(self) -> str:
        """The name of what the stage counts as its steps."""
        ...

    def check_batch(self, *, images: int, processes: int) -> None:
        """Raise ConfigError if the stage cannot learn from batches of ``images`` in each process."""
        ...

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Raise ConfigError if the stage cannot learn from these labels."""
        ...

    def __call__(self, *, policy: Policy, placement: Placement, steps: int) -> L.LightningModule:
        """Make the module of a stage of ``steps`` steps."""
        ...


@runtime_checkable
class WorksInFolder(Protocol):
    """A module that needs something open while it trains, which keeps its files in a folder of the stage."""

    def opened(self, folder: Path) -> AbstractContextManager[None]:
        """Open within the block."""
        ...


@runtime_checkable
class HoldsMemory(Protocol):
    """A module or optimizer that keeps weights or moments beside the policy; Lightning keeps it until the run's end."""

    def release_memory(self) -> None:
        """Drop them: the stage is done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The parts of a stage, made before there is a policy, so that mistakes show early.

    ``trainer`` makes a Trainer from what the stage adds (loggers, callbacks, lengths). ``images`` is the batch size of
    each process.

    Raises:
        ConfigError: Lightning refuses a setting of the trainer, or the stage cannot learn from the labels.
    """

    name: str
    recipe: ModuleRecipe
    data: StageData
    trainer: Callable[..., L.Trainer]
    callbacks: Sequence[L.Callback]
    images: int
    checkpoint_every: int
    keep_checkpoints: int
    seed: int

    def __post_init__(self) -> None:
        try:
            self.trainer(max_epochs=1, logger=False, enable_checkpointing=False)  # Lightning checks what it is given
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigError(f"{self.name}.trainer: {' '.join(str(error).split())}") from error
        self.recipe.check_labels(self.data.examples)

    def check_batch(self, *, processes: int) -> None:
        """Raise ConfigError if the batches of so many processes are too small for the stage."""
        self.recipe.check_batch(images=self.images, processes=processes)

    def length(self, folder: RunFolder, *, processes: int) -> str:
        """Its length, and how far it is, in a line."""
        done, last = self._checkpoints(folder)
        if done.exists():
            return "done"
        steps, images, samples = self.data.steps(processes), self.data.images_per_step(processes), self.data.samples
        epochs = steps * images / samples
        each = f"{images} images" if processes == 1 else f"{images} images ({processes} processes)"
        said = f"{steps:,} steps of {each}: {steps * images:,} images, {epochs:.2f} epochs of {samples:,}"
        return f"{said}; goes on from its checkpoint" if last.exists() or all_before(last) else said

    def train(self, policy: Policy, folder: RunFolder, *, placement: Placement, loggers: Sequence[Logger]) -> None:
        """Fit, or take the weights of a stage that is already done. Then every process has the whole policy."""
        done, last = self._checkpoints(folder)
        if from_first(done.exists):
            from_first(lambda: _finished(done, last))
            load_weights(policy, done, placement)
            return
        start = from_first(lambda: resumable(last))
        L.seed_everything(self.seed, verbose=False)
        trainer = self._trainer(folder, last, loggers, placement)
        trainable = [parameter.requires_grad for parameter in policy.model.parameters()]
        module = self.recipe(policy=policy, placement=placement, steps=self.data.steps(world_size()))
        opened = module.opened(folder.logs(self.name)) if isinstance(module, WorksInFolder) else nullcontext()
        with worker_losses(), stepping(), opened:
            trainer.fit(module, datamodule=self.data, ckpt_path=start, weights_only=True)
        policy.model.to(trainer.strategy.root_device)  # Lightning leaves it on the CPU, where a GPU's parts cannot meet
        trainer.save_checkpoint(done, weights_only=True)
        _release_memory(module, *trainer.optimizers)
        placement.give_back(policy)
        if rank() == 0:
            remove(last)  # nothing is left to go on with
        for parameter, trained in zip(policy.model.parameters(), trainable, strict=True):
            parameter.requires_grad_(trained)  # what this stage froze, the next may train

    def _checkpoints(self, folder: RunFolder) -> tuple[Path, Path]:
        place = folder.checkpoints(self.name)
        return place / CHECKPOINT_DONE, place / CHECKPOINT_LAST

    def _trainer(self, folder: RunFolder, last: Path, loggers: Sequence[Logger], placement: Placement) -> L.Trainer:
        logs = folder.logs(self.name)
        joined: dict[str, Any] = {"strategy": PlacedStrategy(placement)} if world_size() > 1 else {}
        trainer = self.trainer(
            **joined,
            max_epochs=1,
            logger=list(loggers),
            callbacks=[
                EndOfLostImages(stage=self.name, path=last, limit=self.data.max_lost_images),
                *self.callbacks,
                EndOfBadSteps(path=last),
                StageCheckpoint(path=last, every=self.checkpoint_every),
            ],
            plugins=[CheckpointFiles(keep=self.keep_checkpoints)],
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in self.callbacks),
            use_distributed_sampler=False,  # StageData shares the samples out
            log_every_n_steps=1,  # modules log by themselves
            default_root_dir=str(logs),
        )
        # Lightning's handlers save, broadcast and exit wherever they interrupt, and forget torch's of dead workers
        trainer._signal_connector.register_signal_handlers = _no_handlers  # type: ignore[method-assign]
        return trainer


def _release_memory(*parts: object) -> None:
    for part in parts:
        if isinstance(part, HoldsMemory):
            part.release_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _no_handlers() -> None:
    """Signals are handled by parallel/stopping."""


def _finished(done: Path, last: Path) -> None:
    """Look at a stage's last weights; a run killed between their save and the next line left the way there behind."""
    require_whole(done)
    remove(last)


def load_weights(policy: Policy, checkpoint: Path, placement: Placement) -> None:
    """Give a policy the weights of a stage's checkpoint, strictly.

    Raises:
        CheckpointError: it is none, or a tensor is missing, renamed, left over or of another shape.
    """
    state = load_checkpoint(checkpoint, mmap=True).get("state_dict", {})
    named = {f"{MODEL}{name}": value for name, value in placement.state_dict(policy.model).items()}
    require_fit(shapes_of(named), shapes_of(state), where=str(checkpoint))
    placement.load_state_dict(policy.model, {key.removeprefix(MODEL): value for key, value in state.items()})

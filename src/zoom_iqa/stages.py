"""One stage of a run: its module, data and trainer from its config, continued from where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig

from zoom_iqa.callbacks.stage_checkpoint import AtomicCheckpointIO, StageCheckpoint
from zoom_iqa.config import check_target
from zoom_iqa.distributed import rank
from zoom_iqa.errors import ConfigError
from zoom_iqa.policy.policy import Policy
from zoom_iqa.run_folder import RunFolder

CHECKPOINT_DONE = "done.ckpt"
CHECKPOINT_LAST = "last.ckpt"


class Settings(Protocol):
    """What makes a stage's module when there is a policy."""

    def check_batch(self, *, images: int, processes: int) -> None:
        """Raise ConfigError if the stage cannot learn from batches of ``images`` in each process."""
        ...

    def __call__(self, *, policy: Policy) -> L.LightningModule:
        """Make the module."""
        ...


class Stage:
    """Everything cheap is made at once, so that mistakes show before there is a policy.

    Raises:
        ConfigError: there is no such stage, or a value of its config is wrong.
    """

    def __init__(self, name: str, cfg: DictConfig) -> None:
        if name not in stage_names(cfg):
            raise ConfigError(f"stages: no stage is named {name!r}; choose from {', '.join(stage_names(cfg))}")
        self._name, self._stage = name, cfg[name]
        self._settings: Settings = instantiate(self._stage.module)
        self._data: L.LightningDataModule = instantiate(self._stage.data)
        self._trainer_config = DictConfig({**cfg.trainer, **self._stage.trainer})
        self._callbacks: list[L.Callback] = [instantiate(node) for node in cfg.callbacks.values()]
        self._loggers, self._seed = cfg.logger, cfg.seed
        self._check_trainer()

    def check_batch(self, *, processes: int) -> None:
        """Raise ConfigError if the batches of so many processes are too small for the stage."""
        self._settings.check_batch(images=self._stage.data.batch_size, processes=processes)

    def train(self, policy: Policy, folder: RunFolder) -> None:
        """Fit, or take the weights of a stage that is already done. Lightning leaves the policy on the CPU."""
        done, last = (folder.checkpoints(self._name) / name for name in (CHECKPOINT_DONE, CHECKPOINT_LAST))
        if done.exists():
            _load_weights(policy, done)
            return
        L.seed_everything(self._seed, verbose=False)
        trainer = self._trainer(folder, last)
        trainable = [parameter.requires_grad for parameter in policy.model.parameters()]
        module = self._settings(policy=policy)
        trainer.fit(module, datamodule=self._data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
        trainer.save_checkpoint(done, weights_only=True)
        if rank() == 0:
            last.unlink(missing_ok=True)  # nothing is left to go on with
        for parameter, trained in zip(policy.model.parameters(), trainable, strict=True):
            parameter.requires_grad_(trained)  # what this stage froze, the next may train

    def _check_trainer(self) -> None:
        """Make one for nothing: Lightning checks its settings when it is made."""
        if not isinstance(self._stage.checkpoint_every, int) or self._stage.checkpoint_every < 1:
            raise ConfigError(f"{self._name}.checkpoint_every={self._stage.checkpoint_every} must be at least 1")
        check_target(f"{self._name}.trainer", self._trainer_config)
        self._check_at_least("gradient_clip_val", 0, "0 clips nothing")
        self._check_at_least("log_every_n_steps", 1, "1 logs every step")
        try:
            instantiate(self._trainer_config)(max_epochs=1, logger=False, enable_checkpointing=False)
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigError(f"{self._name}.trainer: {' '.join(str(error).split())}") from error

    def _check_at_least(self, key: str, least: int, meaning: str) -> None:
        """Of values that Lightning takes any number for."""
        value = self._trainer_config.get(key)
        if value is not None and not value >= least:
            where = f"{self._name}.trainer" if key in self._stage.trainer else "trainer"
            raise ConfigError(f"{where}.{key}={value} must be at least {least} ({meaning})")

    def _trainer(self, folder: RunFolder, last: Path) -> L.Trainer:
        logs = folder.logs(self._name)
        loggers = [instantiate(node)(save_dir=str(logs)) for node in self._loggers.values()]
        made: L.Trainer = instantiate(self._trainer_config)(
            max_epochs=1,
            logger=loggers,
            callbacks=[*self._callbacks, StageCheckpoint(path=last, every=self._stage.checkpoint_every)],
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in self._callbacks),
            use_distributed_sampler=False,  # StageData shares the samples out
            default_root_dir=str(logs),
        )
        return made


def stage_names(cfg: DictConfig) -> list[str]:
    """The nodes of a config that can be run as stages."""
    return [str(key) for key, node in cfg.items() if isinstance(node, DictConfig) and "module" in node]


def _load_weights(policy: Policy, checkpoint: Path) -> None:
    """Strictly: every weight of the policy must be in the checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    policy.model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()}, strict=True)

"""Supervised fine-tuning on trajectories as a LightningModule: response tokens only, both turns."""

from __future__ import annotations

from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.learning.supervised import supervised_samples
from zoom_iqa.objectives.measures import reduce_measures, to_floats
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.parallel.processes import current_reducer, world_size
from zoom_iqa.policy.freezing import freeze_vision
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.optimizer_setup import OptimizerFactory, check_optimizer, configure


@dataclass(frozen=True, kw_only=True)
class SFTRecipe:
    """All of an SFT stage but the policy; called with one, it makes the module. Wrong values show before there is one.

    Raises:
        ConfigError: a value is out of range, or the optimizer refuses a setting.
    """

    loss: ResponseCrossEntropy
    logit_chunk: int
    optimizer: OptimizerFactory
    lr_factor: Schedule
    freeze_vision_tower: bool

    def __post_init__(self) -> None:
        if self.logit_chunk < 1:
            raise ConfigError(f"sft.module.logit_chunk={self.logit_chunk} must be at least 1")
        check_optimizer(self.optimizer)

    def check_batch(self, *, images: int, processes: int) -> None:
        """Any batch will do."""

    def __call__(self, *, policy: Policy) -> SFTModule:
        """The module that trains ``policy``."""
        return SFTModule(policy=policy, settings=self)


class SFTModule(L.LightningModule):
    """Trains a policy to write the trajectories it is shown; a batch is a list of Trajectory.

    Prompts, images and the turn-1 answer repeated in turn 2's prompt are context and carry no loss. Batches of an
    accumulated optimizer step count alike; within one, every token counts by its weight over all processes.
    """

    def __init__(self, *, policy: Policy, settings: SFTRecipe) -> None:
        super().__init__()
        if settings.freeze_vision_tower:
            freeze_vision(policy)
        self.model = policy.model
        self.figures: dict[str, float] = {}
        self._policy, self._loss = policy, settings.loss
        self._optimizer, self._lr_factor = settings.optimizer, settings.lr_factor
        self._likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=settings.logit_chunk)

    @property
    def policy(self) -> Policy:
        """What is trained."""
        return self._policy

    def on_fit_start(self) -> None:
        """A loaded model is in evaluation mode, in which gradient checkpointing silently does nothing."""
        self.model.train()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One optimizer over the trainable parameters, with its schedule."""
        return configure(self.model, self._optimizer, self._lr_factor)

    def training_step(self, batch: list[Trajectory], batch_idx: int) -> Tensor:
        """Loss of a batch, scaled so that averaging gradients over processes weighs all their tokens alike."""
        self._policy.images.clear()  # augmentation may give a key new pixels from one batch to the next
        samples, numeric_T = supervised_samples(batch, self._policy)
        reducer = current_reducer()
        total = reducer.sum(self._loss.token_weights(numeric_T).sum(dtype=torch.float64))
        logp_T = self._likelihood(samples, entropy=False, select_S=None).logp_T
        loss, measures = self._loss(logp_T, numeric_T.to(logp_T.device), denominator=float(total))
        self.figures = to_floats(reduce_measures(measures, reducer=reducer))
        self.log_dict(self.figures)
        return loss * world_size()

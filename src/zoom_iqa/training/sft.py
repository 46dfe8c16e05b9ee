"""Supervised fine-tuning on trajectories as a LightningModule: response tokens only, both turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from zoom_iqa.base.ranges import require_positive_or_inf, require_whole
from zoom_iqa.base.types import Example
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.learning.step_clock import StepClock
from zoom_iqa.learning.supervised import supervised_samples
from zoom_iqa.objectives.measures import Measures, merge, reduce_measures, to_floats
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.parallel.placement import Placement
from zoom_iqa.parallel.processes import current_reducer, world_size
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.policy.freezing import freeze_vision
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.bad_steps import BadSteps, check_max_bad_steps
from zoom_iqa.training.checkpoints import require_fitting
from zoom_iqa.training.optimizer_setup import (
    OptimizerFactory,
    RateSchedule,
    check_optimizer,
    check_rate,
    configure,
    rate_factor,
)

PHASES = ("forward", "backward", "optimizer")


@dataclass(frozen=True, kw_only=True)
class SFTRecipe:
    """All of an SFT stage but the policy; called with one, it makes the module. Wrong values show before there is one.

    Raises:
        ConfigError: a value is out of range, or the optimizer refuses a setting.
    """

    axis: ClassVar[str] = "optimizer_step"
    loss: ResponseCrossEntropy
    accumulate: int
    logit_chunk: int
    optimizer: OptimizerFactory
    lr_factor: RateSchedule
    max_grad_norm: float
    max_bad_steps: int
    freeze_vision_tower: bool

    def __post_init__(self) -> None:
        require_whole("sft.accumulate", self.accumulate, least=1)
        require_whole("sft.module.logit_chunk", self.logit_chunk, least=1)
        require_positive_or_inf("sft.module.max_grad_norm", self.max_grad_norm, inf_means="clips nothing")
        check_max_bad_steps("sft", self.max_bad_steps)
        check_optimizer(self.optimizer)
        check_rate(self.lr_factor, where="sft.module.lr_factor")

    def check_batch(self, *, images: int, processes: int) -> None:
        """Any batch will do."""

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Any labels will do."""

    def __call__(self, *, policy: Policy, placement: Placement, steps: int) -> SFTModule:
        """The module that trains ``policy`` in so many steps."""
        return SFTModule(policy=policy, placement=placement, settings=self, steps=steps)


class SFTModule(L.LightningModule):
    """Trains a policy to write the trajectories it is shown; a batch is the list of Trajectory of one optimizer step.

    It is forwarded in ``accumulate`` parts, which count alike; within one, every token counts by its weight over all
    processes. Prompts, images and the turn-1 answer repeated in turn 2's prompt are context and carry no loss.
    """

    def __init__(self, *, policy: Policy, placement: Placement, settings: SFTRecipe, steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        if settings.freeze_vision_tower:
            freeze_vision(policy)
        self.model = policy.model
        self.figures: dict[str, float] = {}
        self._policy, self._placement, self._loss = policy, placement, settings.loss
        self._accumulate, self._max_grad_norm = settings.accumulate, settings.max_grad_norm
        self.bad_steps = BadSteps(stage="sft", max_bad_steps=settings.max_bad_steps)
        self._clock = StepClock(phases=PHASES)
        self._optimizer = settings.optimizer
        self._lr_factor = rate_factor(settings.lr_factor, steps=steps)
        self._likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=settings.logit_chunk)

    @property
    def policy(self) -> Policy:
        """The policy that is trained."""
        return self._policy

    def configure_model(self) -> None:
        """Lay out the weights, before Lightning asks for an optimizer."""
        self._placement.place(self.model)

    def on_fit_start(self) -> None:
        """A loaded model is in evaluation mode, in which gradient checkpointing silently does nothing."""
        self.model.train()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One optimizer over the trainable parameters, with its schedule."""
        return configure(self.model, self._placement, self._optimizer, self._lr_factor)

    def training_step(self, batch: list[Trajectory], batch_idx: int) -> None:
        """One optimizer step, or none where loss or gradient is not finite in some process."""
        reducer = current_reducer()
        measures: list[Measures] = []
        finite, tokens = True, 0
        parts = _parts(batch, self._accumulate)
        self._clock.start(self.device)
        for part in parts:
            with self._clock.phase("forward"):
                loss, found, count = self._forward(part, reducer)
            with self._clock.phase("backward"):
                self.manual_backward(loss / len(parts))
            measures.append(found)
            tokens += count
            finite = finite and bool(loss.isfinite())
        optimizer: Any = self.optimizers()
        rate = optimizer.param_groups[0]["lr"]
        with self._clock.phase("optimizer"):
            norm = self._placement.sum_clip_step(self.model, optimizer, max_norm=self._max_grad_norm, finite=finite)
        spent = self._clock.measures(
            images=len(batch), tokens={"trained_tokens": (tokens, "step")}, processes=world_size()
        )
        if norm is None:
            self._leave_out(batch, finite=finite, step=batch_idx, reducer=reducer)
            return
        self.bad_steps.good()
        self.lr_schedulers().step()  # type: ignore[union-attr]  # one schedule, not a list
        learned = to_floats(reduce_measures(merge(measures), reducer=reducer))
        self.figures = {**learned, "sft/grad_norm": norm, "sft/skipped_steps": 0.0, "lr": rate}
        self._log(batch_idx, to_floats(reduce_measures(spent, reducer=reducer)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """How many steps in a row came to nothing."""
        checkpoint["bad_steps"] = self.bad_steps.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting them."""
        require_fitting(self, checkpoint)
        self.bad_steps.load_state_dict(checkpoint["bad_steps"])

    def _leave_out(self, batch: list[Trajectory], *, finite: bool, step: int, reducer: Reducer) -> None:
        self.bad_steps.bad(
            [trajectory.example.name for trajectory in batch],
            reason="the gradient is not finite" if finite else "the loss is not finite",
            suspect=not finite,
            step=step,
            folder=Path(self.trainer.default_root_dir),
            reducer=reducer,
        )
        self.figures = {"sft/skipped_steps": 1.0}
        self._log(step, {})

    def _log(self, step: int, spent: dict[str, float]) -> None:
        for logger in self.loggers:
            logger.log_metrics({**self.figures, **spent}, step=step)

    def _forward(self, trajectories: Sequence[Trajectory], reducer: Reducer) -> tuple[Tensor, Measures, int]:
        """This process's share of the loss of a part, which the shares of all processes sum to, and its tokens."""
        samples, numeric_T = supervised_samples(trajectories, self._policy)
        total = reducer.sum(self._loss.token_weights(numeric_T).sum(dtype=torch.float64))
        logp_T = self._likelihood(samples, entropy=False, select_S=None).logp_T
        return *self._loss(logp_T, numeric_T.to(logp_T.device), denominator=float(total)), len(numeric_T)


def _parts(batch: list[Trajectory], count: int) -> list[list[Trajectory]]:
    size = -(-len(batch) // count)
    return [batch[start : start + size] for start in range(0, len(batch), size)]

"""Optimizer and learning-rate schedule of a stage, from the parts its config names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.parallel.placement import Placement

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
RateSchedule = Schedule | Callable[..., Schedule]
"""Factor of the learning rate by optimizer step, or what makes it from ``steps``, how many there are."""


def check_optimizer(optimizer: OptimizerFactory) -> None:
    """Try the settings on one number, a step included, so that a wrong one shows before there is a model.

    Raises:
        ConfigError: the optimizer refuses a setting, or the number is not finite after its first step.
    """
    number = nn.Parameter(torch.ones(1))
    number.grad = torch.ones(1)
    try:
        optimizer([number]).step()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"module.optimizer: {error}") from error
    except RuntimeError as error:  # of a value that float32 does not hold
        raise ConfigError(f"module.optimizer: no step can be made ({error}); lower lr or weight_decay") from error
    if not number.isfinite().all():
        raise ConfigError("module.optimizer: a weight of 1 is not finite after one step; lower lr or weight_decay")


def check_rate(schedule: RateSchedule, *, where: str) -> None:
    """Try the schedule over one step, so that a wrong setting of the config's node ``where`` shows early.

    Raises:
        ConfigError: the schedule refuses a setting.
    """
    try:
        rate_factor(schedule, steps=1)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def rate_factor(schedule: RateSchedule, *, steps: int) -> Schedule:
    """The factor over ``steps`` optimizer steps."""
    return schedule if isinstance(schedule, Schedule) else schedule(steps=steps)


def configure(
    model: nn.Module, placement: Placement, optimizer: OptimizerFactory, factor: Schedule
) -> OptimizerLRSchedulerConfig:
    """Lightning's optimizer record over the trainable parameters; ``factor`` scales the rate at each optimizer step."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ConfigError("no parameter is trainable; unfreeze a part of the policy")
    made = placement.learns(model, optimizer(trainable))
    return {"optimizer": made, "lr_scheduler": {"scheduler": LambdaLR(made, factor.value), "interval": "step"}}

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

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


def check_optimizer(optimizer: OptimizerFactory) -> None:
    """Try the settings on one number, so that a wrong one shows before there is a model.

    Raises:
        ConfigError: the optimizer refuses a setting.
    """
    try:
        optimizer([nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"module.optimizer: {error}") from error


def configure(model: nn.Module, optimizer: OptimizerFactory, factor: Schedule) -> OptimizerLRSchedulerConfig:
    """Lightning's optimizer record over the trainable parameters; ``factor`` scales the rate at each optimizer step."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ConfigError("no parameter is trainable; unfreeze a part of the policy")
    made = optimizer(trainable)
    return {"optimizer": made, "lr_scheduler": {"scheduler": LambdaLR(made, factor.value), "interval": "step"}}

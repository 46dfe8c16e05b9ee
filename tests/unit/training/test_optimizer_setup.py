"""Settings of an optimizer are tried before there is a model: a step with them has to be finite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from torch.optim import SGD, AdamW, Optimizer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.master_adamw import MasterAdamW
from zoom_iqa.training.optimizer_setup import check_optimizer

MADE: dict[str, Callable[..., Optimizer]] = {
    "AdamW": AdamW,
    "MasterAdamW": partial(MasterAdamW, betas=(0.9, 0.95), weight_decay=0.0),
    "SGD": SGD,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("lr", [0.0, 1e-6, 1.0])
def test_rates_that_float32_holds_pass(name: str, lr: float) -> None:
    check_optimizer(partial(MADE[name], lr=lr))


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("lr", [1e39, float("inf")])  # float32 ends at 3.4e38
def test_rates_beyond_float32_are_one_line(name: str, lr: float) -> None:
    with pytest.raises(ConfigError, match=r"^module\.optimizer: .*; lower lr or weight_decay$"):
        check_optimizer(partial(MADE[name], lr=lr))


@pytest.mark.parametrize("lr", [-1.0, float("nan")])
def test_rates_that_torch_refuses_are_said_by_torch(lr: float) -> None:
    with pytest.raises(ConfigError, match=r"^module\.optimizer: Invalid learning rate: "):
        check_optimizer(partial(AdamW, lr=lr))

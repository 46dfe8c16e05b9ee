"""The parts of a policy's model that a placement cuts up over processes, and those that it keeps whole in each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from zoom_iqa.policy.lora import adapter_weights


def blocks(model: Any) -> Iterable[nn.Module]:
    """The blocks of the language model, in which most weights are."""
    found: Iterable[nn.Module] = model.model.language_model.layers
    return found


def kept_whole(model: Any) -> Iterable[nn.Parameter]:
    """The vision tower, which runs for new images alone and so not equally often in all processes; and adapters."""
    return (*model.model.visual.parameters(), *adapter_weights(model).values())

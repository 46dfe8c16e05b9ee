"""The places of a policy's weights among the processes of a run: summed gradients, whole weights, saves follow.

Modules ask a placement and name no collective, so that weights may be copied or cut up without a change to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from zoom_iqa.parallel.processes import sum_gradients, true_in_all, world_size


class Placement(Protocol):
    """Every process must call every method, in the same order: some wait for all."""

    def place(self, model: nn.Module) -> None:
        """Lay the weights out, all processes starting from those of the first; before there is an optimizer."""
        ...

    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """Sum gradients over the processes, scale them to a norm of at most ``max_norm``, step, and clear them.

        Until then a process's gradients are its own: backward passes may differ in number between processes. Returns
        the norm before clipping, which is the same in all. ``finite`` says whether this process's loss is a finite
        number: if one is not, or the norm is not, no process steps, gradients are cleared, and all return None.
        """
        ...

    def lent(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within the block the model holds whole weights, which an engine may read and nobody may change."""
        ...

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """The whole weights by name, at least in the first process."""
        ...

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Take whole weights, strictly: RuntimeError names a tensor that is missing, left over or of another shape."""
        ...


class Replicated:
    """Every process holds all weights and gradients; optimizers may still share out their states."""

    @torch.no_grad()
    def place(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if world_size() == 1:
            return
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.detach(), src=0)

    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """As the protocol says. A process without anything to learn takes part with zeros."""
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sum_gradients(trainable)
        norm = nn.utils.clip_grad_norm_(trainable, max_norm)
        good = true_in_all(finite and bool(norm.isfinite()))
        if good:
            optimizer.step()
        optimizer.zero_grad()
        return float(norm) if good else None

    @contextmanager
    def lent(self, model: nn.Module) -> Iterator[None]:
        """They are whole already."""
        yield

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's own."""
        return dict(model.state_dict())

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """As the protocol says."""
        model.load_state_dict(dict(state), strict=True)

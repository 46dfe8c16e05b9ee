"""The places of a policy's weights among the processes of a run: summed gradients, whole weights, saves follow.

Modules ask a placement and name no collective, so that weights may be copied or cut up without a change to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from zoom_iqa.parallel.pieces import Part, Pieces, put_together
from zoom_iqa.parallel.processes import current_reducer, sum_gradients, true_in_all, world_size

FSDP = "fsdp"
"""The value of ``trainer.strategy`` that cuts weights up; Lightning's own strategy of this name refuses CPUs."""
ZERO_STAGES = {"deepspeed_zero2": 2, "deepspeed_zero3": 3}
"""The values of ``trainer.strategy`` that leave weights to DeepSpeed, and their stages of ZeRO (arXiv 1910.02054)."""
WITHIN = "zoom_iqa_within"
"""The method of a model whose weights are cut up that puts them together for a work."""
Made = TypeVar("Made")


class ModelOwner(Protocol):
    """Has a model, which may be exchanged."""

    model: Any


def within(model: nn.Module, work: Callable[[], Made]) -> Made:
    """Do work that reads the model's weights outside of its forward; where they are cut up, they are whole meanwhile.

    The work's result must be tensors, or a tuple of them, for gradients to flow. Every process must come here, as
    often as the others: see ``passes_more``.
    """
    put_together: Callable[[Callable[[], Made]], Made] | None = getattr(model, WITHIN, None)
    return work() if put_together is None else put_together(work)


def passes_more(model: nn.Module, own: int) -> int:
    """How many passes this process must make beside ``own``, so that all make as many; 0 where none waits for others.

    Every process must call it, before its passes.
    """
    if not hasattr(model, WITHIN):
        return 0
    counts, _ = current_reducer().gather(torch.tensor([own]))
    return int(counts.max()) - own


class Placement(Protocol):
    """Every process must call every method, in the same order: some wait for all."""

    def place(self, model: nn.Module) -> None:
        """Lay the weights out, all processes starting from those of the first; before there is an optimizer."""
        ...

    def learns(self, model: nn.Module, optimizer: Optimizer) -> Optimizer:
        """Let an optimizer of a placed model step its weights as they lie: the one to schedule, step and save, once."""
        ...

    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """Sum gradients over the processes, scale them to a norm of at most ``max_norm``, step, and clear them.

        Until then a process's gradients may be its own; backward passes may differ in number between processes by
        ``passes_more`` alone. Returns the norm before clipping, which is the same in all. ``finite`` says whether this
        process's loss is a finite number: if one is not, or the norm is not, no process steps, gradients are cleared,
        and all return None.
        """
        ...

    @property
    def lends_copies(self) -> bool:
        """Whether what is lent takes memory that is to be free after the block: an engine must not outlast it."""
        ...

    def lent(self, owner: ModelOwner) -> AbstractContextManager[None]:
        """Within the block the owner's model has whole weights, which an engine may read and nobody may change."""
        ...

    def give_back(self, owner: ModelOwner) -> None:
        """After training: the owner's model has whole weights from now on, and may be placed again."""
        ...

    def state_dict(self, model: nn.Module) -> Mapping[str, Tensor | Part]:
        """The weights by name: whole ones at least in the first process, of those that are cut up its part in each."""
        ...

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor | Pieces]) -> None:
        """Take such weights with the parts of all, of any placement and number of processes, strictly.

        Before ``learns``, where weights are then DeepSpeed's. RuntimeError names a tensor that is missing, left over or
        of another shape.
        """
        ...

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state, of what is whole and what is cut up as ``state_dict``."""
        ...

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Take such a state with the parts of all."""
        ...


class Replicated:
    """Every process holds all weights and gradients; optimizers may still share out their states."""

    lends_copies = False

    @torch.no_grad()
    def place(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if world_size() == 1:
            return
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.detach(), src=0)

    def learns(self, model: nn.Module, optimizer: Optimizer) -> Optimizer:
        """It steps whole weights."""
        return optimizer

    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """As the protocol says. A process without anything to learn takes part with zeros."""
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sum_gradients(trainable)
        norm = _norm([parameter.grad for parameter in trainable if parameter.grad is not None])
        nn.utils.clip_grads_with_norm_(trainable, max_norm, norm)
        good = true_in_all(finite and bool(norm.isfinite()))
        if good:
            optimizer.step()
        optimizer.zero_grad()
        return float(norm) if good else None

    @contextmanager
    def lent(self, owner: ModelOwner) -> Iterator[None]:
        """They are whole already."""
        yield

    def give_back(self, owner: ModelOwner) -> None:
        """They are whole already."""

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's own."""
        return dict(model.state_dict())

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor | Pieces]) -> None:
        """As the protocol says."""
        model.load_state_dict(put_together(state), strict=True)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's own."""
        return optimizer.state_dict()

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """As the optimizer takes it."""
        optimizer.load_state_dict(put_together(state))


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients together, at least in float32, as a sharded model's is."""
    norms = [torch.linalg.vector_norm(one, dtype=torch.promote_types(one.dtype, torch.float32)) for one in gradients]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())

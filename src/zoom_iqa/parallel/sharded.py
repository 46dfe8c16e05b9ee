"""A policy's weights cut up over the processes of a run by FSDP2: each keeps, learns and steps its part of them.

A layer is put together for its forward and backward pass and let go after it; gradients are summed over processes
where a backward pass ends (ZeRO stage 3, arXiv 1910.02054). So all processes must make equally many passes. What is
kept whole (adapters, a tower that is run as often as each process likes) is replicated.

Engines are lent a twin of the model with whole weights, in which nothing is cut and any number of passes may be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.optim import Optimizer

from zoom_iqa.parallel.pieces import Part, Pieces
from zoom_iqa.parallel.placement import WITHIN, ModelOwner, Replicated
from zoom_iqa.parallel.processes import current_reducer, sum_gradients, true_in_all, world_size
from zoom_iqa.parallel.tensor_parts import is_cut, part_like, part_of, saved, whole
from zoom_iqa.parallel.twins import give, lent, outline


class Sharded:
    """Every process holds a part of each weight but of those that ``kept_whole`` names; ``blocks`` come one by one.

    Both are functions of a model: modules that are put together at a time, and parameters that are not cut.
    """

    lends_copies = True

    def __init__(
        self,
        *,
        blocks: Callable[[nn.Module], Iterable[nn.Module]],
        kept_whole: Callable[[nn.Module], Iterable[nn.Parameter]],
    ) -> None:
        self._blocks, self._kept_whole = blocks, kept_whole
        self._outlines: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()

    def place(self, model: nn.Module) -> None:
        """Give every process the first one's weights, then its part of them."""
        Replicated().place(model)
        kept = set(self._kept_whole(model))
        self._outlines[model] = outline(model, kept)
        device = next(model.parameters()).device
        mesh = init_device_mesh(device.type, (world_size(),))
        for module in (*self._blocks(model), model):
            fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=kept)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)  # losses are shares of the whole batch's: gradients add up
                module.set_force_sum_reduction_for_comms(True)
        setattr(model, WITHIN, MethodType(_do, model))
        register_fsdp_forward_method(model, WITHIN)

    def learns(self, model: nn.Module, optimizer: Optimizer) -> Optimizer:
        """It steps the parts."""
        return optimizer

    @torch.no_grad()
    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """As the protocol says; gradients of parts are sums already."""
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sum_gradients(parameter for parameter in trainable if not is_cut(parameter))
        gradients = [parameter.grad for parameter in trainable if parameter.grad is not None]
        norm = _norm(gradients)
        good = true_in_all(finite and bool(norm.isfinite()))
        if good:
            factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
            for gradient in gradients:
                part_of(gradient).mul_(factor)
            optimizer.step()
        optimizer.zero_grad()
        return float(norm) if good else None

    def lent(self, owner: ModelOwner) -> AbstractContextManager[None]:
        """Within the block the owner's model is a whole twin; before and after training it is whole itself."""
        return lent(owner, self._outlines.get(owner.model), whole)

    def give_back(self, owner: ModelOwner) -> None:
        """Let the owner have a whole model for good."""
        twin = self._outlines.pop(owner.model, None)
        if twin is not None:
            give(owner, twin, whole)

    def state_dict(self, model: nn.Module) -> dict[str, Tensor | Part]:
        """This process's parts, and what is whole in all."""
        met: dict[int, Tensor | Part] = {}
        tied = {name: id(parameter) for name, parameter in model.named_parameters(remove_duplicate=False)}
        return {
            name: met.setdefault(tied[name], saved(value)) if is_cut(value) else value
            for name, value in model.state_dict().items()
        }

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor | Pieces]) -> None:
        """As the protocol says."""
        own = model.state_dict()
        model.load_state_dict(
            {name: part_like(value, own[name]) if name in own else value for name, value in state.items()}, strict=True
        )

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """This process's parts of states; an optimizer that keeps parts by itself gives them by itself."""
        state = optimizer.state_dict()
        if "state" not in state:
            return state
        found = {}
        for number, values in state["state"].items():
            found[number] = {name: saved(value) if is_cut(value) else value for name, value in values.items()}
        return {**state, "state": found}

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Take the parts that this process keeps."""
        if "state" in state:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            taken = {
                number: {name: part_like(value, parameters[number]) for name, value in values.items()}
                for number, values in state["state"].items()
            }
            state = {**state, "state": taken}
        optimizer.load_state_dict(dict(state))


def _do(model: nn.Module, work: Callable[[], Any]) -> Any:
    return work()


def _norm(gradients: Iterable[Tensor]) -> Tensor:
    """The norm of all gradients together; those of parts are everywhere other numbers, the rest the same."""
    of_parts, of_wholes = torch.zeros(()), torch.zeros(())
    for gradient in gradients:
        squares = part_of(gradient).float().square().sum()
        if is_cut(gradient):
            of_parts = of_parts.to(squares.device) + squares
        else:
            of_wholes = of_wholes.to(squares.device) + squares
    of_parts = current_reducer().sum(of_parts)
    return (of_parts + of_wholes.to(of_parts.device)).sqrt()

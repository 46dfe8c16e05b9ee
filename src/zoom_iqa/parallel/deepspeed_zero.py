"""A policy's training left to DeepSpeed's ZeRO (arXiv 1910.02054): gradients and states cut up over the processes of a
run, in stage 3 the weights too.

Its engine is told of the modules alone that have no weight that is kept whole, and of a forward pass that is any work
which reads them. It cuts gradients up where a backward pass ends, and in stage 3 puts a module's weights together for
its pass, so all processes must make equally many passes. Every step of it is one of ours: losses are shares of the
whole batch's, whose gradients add up.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.pieces import Part, Pieces
from zoom_iqa.parallel.placement import WITHIN, ModelOwner, Replicated
from zoom_iqa.parallel.processes import true_in_all, world_size
from zoom_iqa.parallel.twins import give, lent, outline
from zoom_iqa.parallel.zero_states import Learning, is_cut, saved, whole

SUMMED_AT_ONCE = 50_000_000
"""Numbers of gradients that are gathered before they are summed over the processes."""
NUMBER_BY_NUMBER = (AdamW, Adam, SGD)
"""Optimizers to which it is the same whether they step a tensor or its numbers in another shape."""


@runtime_checkable
class KeepsMasters(Protocol):
    """An optimizer that keeps float32 masters by itself."""

    def without_masters(self) -> Optimizer:
        """The same steps on the same parameters, of which something else keeps the masters."""
        ...


class DeepSpeedZero:
    """ZeRO of ``stage`` 2 or 3 by DeepSpeed, which learns all weights but those that ``kept_whole`` names of a model.

    Before ``learns`` a model that is to learn is whole.
    """

    def __init__(self, *, stage: int, kept_whole: Callable[[nn.Module], Iterable[nn.Parameter]]) -> None:
        self._stage, self._kept_whole = stage, kept_whole
        self.lends_copies = stage == 3
        self._outlines: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()
        self._engines: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
        self._learning: WeakKeyDictionary[nn.Module, Learning] = WeakKeyDictionary()

    def place(self, model: nn.Module) -> None:
        """Give every process the first one's weights; in stage 3 its part of those that learn nothing.

        Raises:
            ConfigError: the weights are float16.
        """
        Replicated().place(model)
        if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
            raise ConfigError("policy.dtype=float16: DeepSpeed would scale the loss; set policy.dtype=bfloat16")
        if self._stage == 3 and not any(parameter.requires_grad for parameter in model.parameters()):
            self._cut(model, None)

    def learns(self, model: nn.Module, optimizer: Optimizer) -> Optimizer:
        """Cut up what it steps.

        Raises:
            ConfigError: it is no optimizer for numbers in another shape, or is to step something that is kept whole.
        """
        masters = isinstance(optimizer, KeepsMasters)
        plain = optimizer.without_masters() if isinstance(optimizer, KeepsMasters) else optimizer
        if not isinstance(plain, NUMBER_BY_NUMBER):
            known = ", ".join(f"torch.optim.{each.__name__}" for each in NUMBER_BY_NUMBER)
            raise ConfigError(
                f"module.optimizer={type(plain).__name__}: ZeRO steps weights in another shape; choose MasterAdamW, "
                f"one of {known}, or trainer=fsdp"
            )
        parameters = [parameter for group in plain.param_groups for parameter in group["params"]]
        if not set(self._kept_whole(model)).isdisjoint(parameters):
            raise ConfigError(
                "trainer: DeepSpeed learns neither adapters nor the vision tower, whose passes are not equally many "
                "in all processes; set trainer=fsdp"
            )
        zero = self._cut(model, plain).optimizer
        self._learning[model] = Learning(zero, self._stage, plain, parameters, masters=masters)
        return plain

    def sum_clip_step(self, model: nn.Module, optimizer: Optimizer, *, max_norm: float, finite: bool) -> float | None:
        """As the protocol says; gradients are sums already, and DeepSpeed leaves out a step without a finite norm."""
        engine = self._engines[model]
        if not true_in_all(finite):
            self._forget_gradients(engine.optimizer)
            return None
        engine.optimizer.clip_grad = max_norm
        engine.step()
        return float(engine.get_global_grad_norm()) if engine.was_step_applied() else None

    def lent(self, owner: ModelOwner) -> AbstractContextManager[None]:
        """In stage 3 the owner's model is a whole twin within the block; in stage 2 all have all weights."""
        return lent(owner, self._outlines.get(owner.model), whole)

    def give_back(self, owner: ModelOwner) -> None:
        """Let the owner have a model of which DeepSpeed knows nothing."""
        model, engine = owner.model, self._engines.pop(owner.model, None)
        if engine is None:
            return
        del self._learning[model]
        twin = self._outlines.pop(model, None)
        if twin is not None:
            give(owner, twin, whole)
        engine.destroy()
        delattr(model, WITHIN)
        if twin is None:
            for parameter in model.parameters():
                parameter.data = parameter.data.clone()  # they lie in one flat tensor
                vars(parameter).clear()  # of ways to the optimizer and its states

    def state_dict(self, model: nn.Module) -> dict[str, Tensor | Part]:
        """Whole weights, in stage 3 this process's parts of them."""
        met: dict[int, Tensor | Part] = {}
        return {
            name: met.setdefault(id(value), saved(value)) if is_cut(value) else value.detach()
            for name, value in model.state_dict(keep_vars=True).items()
        }

    def load_state_dict(self, model: nn.Module, state: Mapping[str, Tensor | Pieces]) -> None:
        """As the protocol says."""
        Replicated().load_state_dict(model, state)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """This process's parts, by parameter, as the optimizer would have them without DeepSpeed."""
        return self._learned_by(optimizer).state_dict()

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Take the numbers that this process keeps."""
        self._learned_by(optimizer).load_state_dict(state)

    def _learned_by(self, optimizer: Optimizer) -> Learning:
        return next(learning for learning in self._learning.values() if learning.base is optimizer)

    def _cut(self, model: nn.Module, optimizer: Optimizer | None) -> Any:
        kept = set(self._kept_whole(model))
        if self._stage == 3:
            self._outlines[model] = outline(model, kept)
        deepspeed = _deepspeed(next(model.parameters()).device)
        from deepspeed.runtime.zero.parameter_offload import FWD_MODULE_STACK

        sixteen_bits = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
        engine, *_ = deepspeed.initialize(
            model=_AnyWork(list(_free_of(model, kept))),
            optimizer=optimizer,
            dist_init_required=False,
            config={
                "train_micro_batch_size_per_gpu": 1,  # says nothing: batches are ours
                "managed_gradient_accumulation": False,  # a step is where it is asked for
                "gradient_clipping": 1.0,  # set anew before each step
                "zero_allow_untested_optimizer": True,
                "bf16": {"enabled": sixteen_bits, "check_grad_overflow": True},
                "zero_optimization": {
                    "stage": self._stage,
                    "reduce_bucket_size": SUMMED_AT_ONCE,
                    "stage3_param_persistence_threshold": 0,  # norms are cut up as all others
                },
                "steps_per_print": None,
            },
        )
        if self._stage == 3:
            FWD_MODULE_STACK.remove(engine.module)  # whose begin would keep it for ever
        setattr(model, WITHIN, partial(_within, engine))
        self._engines[model] = engine
        return engine

    def _forget_gradients(self, zero: Any) -> None:
        """As the optimizer itself does where a norm is not finite."""
        zero.zero_grad()
        for number in list(zero.averaged_gradients):
            zero.averaged_gradients[number] = None
            if self._stage == 2:
                zero.all_grad_tensors[number] = None


class _AnyWork(nn.Module):
    """Modules of a model, and a forward pass that is any work which reads their weights."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, work: Callable[[], Any]) -> Any:
        """Do the work. DeepSpeed takes the mean of gradients over processes: times their number it is the sum."""
        made = work()
        for tensor in made if isinstance(made, tuple) else (made,):
            if tensor is not None and tensor.requires_grad:
                tensor.register_hook(partial(torch.mul, other=world_size()))
        return made


def _within(engine: Any, work: Callable[[], Any]) -> Any:
    """Do the work in a forward pass, in stage 3 without what DeepSpeed has noted of the pass before.

    It would fetch weights ahead by the order in which that one had read them, but of these passes some read them twice,
    where a loss has selected tokens, and so processes would fetch in different orders and wait for each other for ever.
    """
    if engine.zero_optimization_stage() == 3:
        offload = getattr(engine.optimizer, "parameter_offload", engine.optimizer)
        coordinator = offload.get_param_coordinator()
        if not coordinator.is_invalid_trace():
            coordinator._invalidate_trace()
    return engine(work)


def _free_of(module: nn.Module, kept: set[nn.Parameter]) -> Iterator[nn.Module]:
    """The largest modules without a kept parameter, which have all others."""
    own = set(module.parameters())
    if own and own.isdisjoint(kept):
        yield module
        return
    mixed = [name for name, parameter in module.named_parameters(recurse=False) if parameter not in kept]
    assert not mixed, f"{type(module).__name__} has {', '.join(mixed)} beside a part that is kept whole"
    for child in module.children():
        yield from _free_of(child, kept)


def _deepspeed(device: torch.device) -> Any:
    """DeepSpeed, told of the device, without what it would compile and say."""
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("LOCAL_RANK", str(device.index or 0))  # SLURM sets another
    warnings.filterwarnings("ignore", message="`torch.distributed.*is deprecated", category=FutureWarning)
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    deepspeed.utils.logger.setLevel(logging.ERROR)
    __compatible_ops__["deepspeed_shm_comm"] = False  # sums in shared memory, which gloo makes without a compiler
    return deepspeed

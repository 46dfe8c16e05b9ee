"""AdamW for weights kept in bfloat16: float32 masters, and each process keeps the states of its share only.

A step of 1e-6 is lost when it is added to a bfloat16 weight (8 bits of precision), so the sum is kept in float32 and
rounded into the weight. Masters and moments take 12 bytes a parameter; sharded over W processes (ZeRO stage 1, arXiv
1910.02054) 12 / W. Of a parameter that is cut up each process owns its part; others go whole to one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.pieces import Part
from zoom_iqa.parallel.processes import rank, world_size
from zoom_iqa.parallel.tensor_parts import is_cut, part_as, part_like, part_of

MOMENTS = ("exp_avg", "exp_avg_sq")


class MasterAdamW(Optimizer):
    """``torch.optim.AdamW`` on float32 masters of the parameters this process owns; the others get its results.

    Every process must hold the same parameters, or its parts of them, in the same order, and gradients already summed
    over processes.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr})
        self._parameters: list[nn.Parameter] = [p for group in self.param_groups for p in group["params"]]
        self._owners = owners([0 if is_cut(p) else p.numel() for p in self._parameters], world_size())
        self._masters = {
            i: part_of(p.detach()).float().clone()
            for i, p in enumerate(self._parameters)
            if is_cut(p) or self._owners[i] == rank()
        }
        self._inner = AdamW(list(self._masters.values()), lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)

    def without_masters(self) -> AdamW:
        """The same steps on the same parameters, of which something else keeps the masters."""
        settings = self._inner.defaults
        lr = self.param_groups[0]["lr"]
        return AdamW(self._parameters, lr=lr, betas=settings["betas"], weight_decay=settings["weight_decay"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step the owned masters and bring every process's weights up to date."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for i, master in self._masters.items():
            grad = self._parameters[i].grad
            master.grad = None if grad is None else part_of(grad).float()
        self._inner.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self._inner.step()
        self._inner.zero_grad()
        self._publish()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Masters and moments on the CPU: of cut parameters this process's parts, of whole ones those of all processes
        in the first. Every process must call it.
        """
        states = [self._collect(i) for i in range(len(self._parameters))]
        return {"states": states, "lr": self.param_groups[0]["lr"]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the owned part of a state and set the weights to its masters.

        Raises:
            ConfigError: the state is of another set of parameters.
        """
        states = state_dict["states"]
        if len(states) != len(self._parameters):
            raise ConfigError(
                f"optimizer state has {len(states)} parameters, the policy trains {len(self._parameters)}; "
                "resume with the settings of the run that wrote it"
            )
        self.param_groups[0]["lr"] = state_dict["lr"]
        for i, master in self._masters.items():
            own = {key: part_of(part_like(value, self._parameters[i])) for key, value in states[i].items()}
            master.copy_(own["master"])
            if "step" in own:
                moments = {key: own[key].to(master.device, copy=True) for key in MOMENTS}
                self._inner.state[master] = {"step": own["step"].clone(), **moments}
        self._publish()

    def release_memory(self) -> None:
        """Drop masters and moments, after the last step: what holds this optimizer may live on."""
        self._masters.clear()
        self._inner.state.clear()
        self._inner.param_groups.clear()

    def _publish(self) -> None:
        for i, parameter in enumerate(self._parameters):
            if i in self._masters:
                part_of(parameter).copy_(self._masters[i])
            if world_size() > 1 and not is_cut(parameter):
                dist.broadcast(parameter.data, src=self._owners[i])

    def _collect(self, index: int) -> dict[str, Tensor | Part]:
        """One parameter's master and moments, brought to the first process where it is not cut."""
        own = self._masters.get(index)
        state = {} if own is None else {"master": own, **self._inner.state.get(own, {})}
        parameter = self._parameters[index]
        if is_cut(parameter):
            return {key: value.cpu() if key == "step" else part_as(value, parameter) for key, value in state.items()}
        if world_size() > 1 and self._owners[index] != 0:
            state = _in_first(state, like=parameter, owner=self._owners[index])
        return {key: value.detach().cpu() for key, value in state.items()}


def _in_first(state: dict[str, Tensor], *, like: Tensor, owner: int) -> dict[str, Tensor]:
    """The state of a whole parameter that ``owner`` has, in the first process; every process must call it.

    As tensors: an object would be pickled in one process and unpickled in all.
    """
    step = torch.tensor(float(state.get("step", -1.0)), device=like.device)  # -1 before the first
    dist.broadcast(step, src=owner)
    keys = ("master",) if step < 0 else ("master", *MOMENTS)
    found: dict[str, Tensor] = {}
    for key in keys:
        value = state[key].detach() if rank() == owner else torch.empty_like(like, dtype=torch.float32)
        dist.broadcast(value, src=owner)
        if rank() == 0:
            found[key] = value.cpu()
    return found if rank() != 0 or step < 0 else {**found, "step": step.cpu()}


def owners(sizes: list[int], processes: int) -> list[int]:
    """The process that keeps the states of each parameter: largest first, always to the one with the least so far."""
    load = [0] * processes
    owners = [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        owners[index] = load.index(min(load))
        load[owners[index]] += sizes[index]
    return owners

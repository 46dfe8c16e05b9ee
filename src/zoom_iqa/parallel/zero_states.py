"""Weights and optimizer states that DeepSpeed's ZeRO has cut up, by parameter: each process has numbers of its own.

ZeRO lays all parameters one after another, flat, and lets a process's optimizer step a range of them (stage 2), or a
range of each parameter (stage 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.pieces import Part, Pieces
from zoom_iqa.parallel.processes import rank

MASTER = "master"


@dataclass(frozen=True, eq=False)
class _Share:
    """``count`` numbers of a parameter, from its ``start`` on, which lie at ``offset`` of a flat tensor of masters."""

    flat: Tensor
    offset: int
    start: int
    count: int

    def of(self, flat: Tensor) -> Tensor:
        """These numbers of a tensor that is laid out like the masters."""
        return flat[self.offset : self.offset + self.count]

    def in_whole(self, tensor: Tensor) -> Tensor:
        """These numbers of a tensor like the parameter."""
        return tensor.reshape(-1)[self.start : self.start + self.count]


class Learning:
    """A base optimizer that DeepSpeed's optimizer ``zero`` lets step the flat masters of ``parameters``.

    ``masters`` says that states are saved and taken as ``MasterAdamW`` has them, otherwise as torch's optimizers do.
    """

    def __init__(
        self, zero: Any, stage: int, base: Optimizer, parameters: Sequence[nn.Parameter], *, masters: bool
    ) -> None:
        self._zero, self._stage, self.base, self._parameters, self._masters = zero, stage, base, parameters, masters

    def state_dict(self) -> dict[str, Any]:
        """This process's numbers of masters and moments of each parameter, as Parts."""
        states = [self._state_of(parameter) for parameter in self._parameters]
        (group,) = self.base.param_groups
        if self._masters:
            return {"states": states, "lr": group["lr"]}
        settings = {key: value for key, value in group.items() if key != "params"}
        numbers = list(range(len(states)))
        found = {number: state for number, state in enumerate(states) if state}
        return {"state": found, "param_groups": [{**settings, "params": numbers}]}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the numbers that this process keeps; weights must be those that were saved with the state.

        Raises:
            ConfigError: the state is of another set of parameters.
        """
        (group,) = self.base.param_groups
        if self._masters:
            states, count = dict(enumerate(state["states"])), len(state["states"])
            group["lr"] = state["lr"]
        else:
            (given,) = state["param_groups"]
            states, count = state["state"], len(given["params"])
            group |= {key: value for key, value in given.items() if key != "params"}
        if count != len(self._parameters):
            raise ConfigError(
                f"optimizer state has {count} parameters, the policy trains {len(self._parameters)}; "
                "resume with the settings of the run that wrote it"
            )
        for number, parameter in enumerate(self._parameters):
            share = self._share_of(parameter)
            if share is not None:
                self._take(share, states.get(number, {}))

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Any]:
        share, shape = self._share_of(parameter), _shape(parameter)
        flat = self._flats()[0] if share is None else share.flat
        found: dict[str, Any] = {}
        for name, value in {MASTER: flat, **self.base.state.get(flat, {})}.items():
            if name == MASTER and not self._masters and parameter.dtype == torch.float32:
                continue  # it is the weight
            if isinstance(value, Tensor) and value.shape == flat.shape:
                own = value[:0] if share is None else share.of(value)
                found[name] = Part(own.detach().cpu(), shape)
            else:
                found[name] = value.clone() if isinstance(value, Tensor) else value  # a step of its own for each
        return found

    def _take(self, share: _Share, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            given = value.whole() if isinstance(value, Pieces) else value
            if not isinstance(given, Tensor) or not given.shape:
                self.base.state[share.flat][name] = given.clone() if isinstance(given, Tensor) else given
            elif name == MASTER:
                share.of(share.flat).copy_(share.in_whole(given))
            else:
                flat = self.base.state[share.flat].setdefault(name, torch.zeros_like(share.flat))
                share.of(flat).copy_(share.in_whole(given))

    def _flats(self) -> Sequence[Tensor]:
        if self._stage == 2:
            return list(self._zero.single_partition_of_fp32_groups)
        return list(self._zero.fp32_partitioned_groups_flat)

    def _share_of(self, parameter: Any) -> _Share | None:
        """This process's; None where it has no number of the parameter."""
        if self._stage == 2:
            held = parameter._hp_mapping
            if held is None:
                return None
            at, of = held.hp_fragment_address, held.lp_fragment_address
            return _Share(self._flats()[held.param_group_index], at.start, of.start, of.numel)
        group, offset, _ = self._zero.grad_position[self._zero.get_param_id(parameter)]
        start, count = _own_range(parameter)
        return _Share(self._flats()[group], offset, start, count) if count else None


def is_cut(tensor: Tensor) -> bool:
    """Whether ZeRO has left this process a part of it only."""
    return hasattr(tensor, "ds_tensor")


def saved(parameter: Any) -> Part:
    """This process's numbers of a parameter that is cut, on the CPU."""
    _, count = _own_range(parameter)
    return Part(parameter.ds_tensor.detach()[:count].cpu(), _shape(parameter))


def whole(parameter: nn.Parameter) -> Tensor:
    """The whole of a parameter. Every process must call it."""
    if not is_cut(parameter):
        return parameter.detach()
    from deepspeed.runtime.zero.partition_parameters import GatheredParameters

    with GatheredParameters([parameter]):
        return parameter.detach().clone()


def _shape(parameter: Any) -> tuple[int, ...]:
    return tuple(parameter.ds_shape if is_cut(parameter) else parameter.shape)


def _own_range(parameter: Any) -> tuple[int, int]:
    """Start and count of this process's numbers of a parameter that is cut; the last ranges are filled up with none."""
    each = parameter.ds_tensor.numel()
    start = min(rank() * each, parameter.ds_numel)
    return start, min(each, parameter.ds_numel - start)

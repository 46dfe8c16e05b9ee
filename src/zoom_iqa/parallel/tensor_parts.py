"""Tensors that are cut up over the processes of a run, and whole ones: from each to the other."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

Value = TypeVar("Value")


def part_of(tensor: Tensor) -> Tensor:
    """This process's part, sharing its memory; a tensor that is not cut is its own."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is cut. Every process must call it."""
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


def joined(part: Tensor, like: Tensor) -> Tensor:
    """The whole of which this process has ``part``, as it has one of ``like``. Every process must call it."""
    if not isinstance(like, DTensor):
        return part
    cut = DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return cut.full_tensor()


def part_like(value: Value, like: Tensor) -> Value | DTensor:
    """A whole tensor cut as ``like`` is; anything else, and where that is not cut, as it is.

    Processes need not meet: each has the whole.
    """
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def is_cut(tensor: Tensor) -> bool:
    """Whether this process has a part of it only."""
    return isinstance(tensor, DTensor)

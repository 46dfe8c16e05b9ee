"""Tensors that are cut up over the processes of a run, and whole ones: from each to the other."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from zoom_iqa.parallel.pieces import Part, Pieces

Value = TypeVar("Value")


def part_of(tensor: Tensor) -> Tensor:
    """This process's part, sharing its memory; a tensor that is not cut is its own."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is cut. Every process must call it."""
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


def saved(tensor: Tensor) -> Tensor | Part:
    """This process's part on the CPU, as it is saved; a tensor that is not cut as it is."""
    if not isinstance(tensor, DTensor):
        return tensor
    return part_as(tensor.to_local(), tensor)


def part_as(part: Tensor, like: Tensor) -> Part:
    """A part that this process has of something as large as ``like``."""
    return Part(part.detach().cpu(), tuple(like.shape))


def part_like(value: Value, like: Tensor) -> Value | Tensor:
    """A whole tensor, or its pieces, cut as ``like`` is, or whole where that is; anything else as it is.

    Processes need not meet: each has the whole, or its own piece.
    """
    if isinstance(value, Pieces):
        own = _own_piece(value, like)
        return part_like(value.whole(), like) if own is None else own
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _own_piece(value: Pieces, like: Tensor) -> DTensor | None:
    """This process's piece, where as many processes have cut the tensor as ``like`` now; None elsewhere."""
    if not isinstance(like, DTensor) or len(value.parts) != like.device_mesh.size() or value.shape != tuple(like.shape):
        return None
    part = value.parts[like.device_mesh.get_local_rank()]
    if part.shape != like.to_local().shape:
        return None
    return DTensor.from_local(
        part.to(like.device),
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )


def is_cut(tensor: Tensor) -> bool:
    """Whether this process has a part of it only."""
    return isinstance(tensor, DTensor)

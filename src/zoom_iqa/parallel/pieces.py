"""A tensor that is cut up, along its first axis or flat, over processes, as each saves it and as all load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_MARK, _SHAPE = "zoom_iqa_piece", "shape"


@dataclass(frozen=True, eq=False)
class Part:
    """This process's rows of a tensor of ``shape``, or its numbers in their order: a tensor of one axis."""

    value: Tensor
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Pieces:
    """The rows or numbers of all processes, in rank order, which are put together only where they are wanted as one."""

    parts: tuple[Tensor, ...]
    shape: tuple[int, ...]

    def whole(self) -> Tensor:
        """The tensor."""
        return torch.cat(list(self.parts)).reshape(self.shape)


def split(tree: Any, *, at: str = "") -> tuple[Any, dict[str, Tensor]]:
    """Nested mappings and lists with a mark in the place of each Part, and the parts by their places."""
    if isinstance(tree, Part):
        return {_MARK: at, _SHAPE: list(tree.shape)}, {at: tree.value}
    if isinstance(tree, Mapping):
        found = {key: split(value, at=f"{at}/{key}") for key, value in tree.items()}
        return {key: value for key, (value, _) in found.items()}, _merged([parts for _, parts in found.values()])
    if isinstance(tree, list | tuple):
        listed = [split(value, at=f"{at}/{number}") for number, value in enumerate(tree)]
        return type(tree)(value for value, _ in listed), _merged([parts for _, parts in listed])
    return tree, {}


def pieced(tree: Any, files: Sequence[Mapping[str, Tensor]]) -> Any:
    """The same with Pieces in the places of marks, of the parts of all processes.

    Raises:
        KeyError: a process has no part for a mark.
    """
    if isinstance(tree, Mapping):
        if _MARK in tree:
            return Pieces(tuple(file[tree[_MARK]] for file in files), tuple(tree[_SHAPE]))
        return {key: pieced(value, files) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(pieced(value, files) for value in tree)
    return tree


def put_together(tree: Any) -> Any:
    """The same with whole tensors in the places of Pieces."""
    if isinstance(tree, Pieces):
        return tree.whole()
    if isinstance(tree, Mapping):
        return {key: put_together(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(put_together, tree))
    return tree


def _merged(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {place: value for found in parts for place, value in found.items()}

"""Twins of models whose weights are cut up over processes: whole ones, for a while or for good.

A twin shares the model's buffers and what is kept whole; the rest takes memory only while it is filled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoom_iqa.parallel.placement import ModelOwner


def outline(model: nn.Module, kept: Collection[nn.Parameter]) -> nn.Module:
    """A twin that shares the model's buffers and what is kept whole, and takes no memory for the rest."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*kept, *model.buffers())}
    for parameter in model.parameters():
        empty = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
        memo.setdefault(id(parameter), empty)
    return copy.deepcopy(model, memo)


@contextmanager
def lent(owner: ModelOwner, twin: nn.Module | None, whole: Callable[[nn.Parameter], Tensor]) -> Iterator[None]:
    """Within the block the owner's model is its outline ``twin`` with whole weights; without one nothing is cut."""
    cut = owner.model
    if twin is None:
        yield
        return
    with _filled(twin, cut, whole):
        owner.model = twin
        try:
            yield
        finally:
            owner.model = cut


def give(owner: ModelOwner, twin: nn.Module, whole: Callable[[nn.Parameter], Tensor]) -> None:
    """Let the owner have its outline ``twin`` with whole weights for good."""
    _fill(twin, owner.model, whole)
    owner.model = twin.train(owner.model.training)


@contextmanager
def _filled(twin: nn.Module, cut: nn.Module, whole: Callable[[nn.Parameter], Tensor]) -> Iterator[None]:
    """The outline with the weights of ``cut``, in its mode, for a while."""
    places = _fill(twin, cut, whole)
    try:
        twin.train(cut.training)
        yield
    finally:
        for module, name, empty in places:
            setattr(module, name, empty)


@torch.no_grad()
def _fill(
    twin: nn.Module, cut: nn.Module, whole: Callable[[nn.Parameter], Tensor]
) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Put whole weights in the places of empty ones, which are returned with their places; tied ones stay tied.

    ``whole`` puts a parameter of ``cut`` together; every process must come here.
    """
    parts = dict(cut.named_parameters(remove_duplicate=False))
    wholes: dict[int, nn.Parameter] = {}
    places: list[tuple[nn.Module, str, nn.Parameter]] = []
    for prefix, module in twin.named_modules():
        for name, empty in list(module.named_parameters(recurse=False)):
            if not empty.is_meta:
                continue
            if id(empty) not in wholes:
                part = parts[f"{prefix}.{name}" if prefix else name]
                wholes[id(empty)] = nn.Parameter(whole(part), requires_grad=part.requires_grad)
            setattr(module, name, wholes[id(empty)])
            places.append((module, name, empty))
    return places

"""A model of few weights that placements cut up, and the steps it learns by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoom_iqa.parallel.placement import Placement, within


class Toy(nn.Module):
    """Two blocks between an embedding and a head that are one weight of 5 rows, and a tower that stays whole."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.tower = nn.Linear(2, 3, bias=False)
        self.embedding = nn.Embedding(5, 3)
        self.blocks = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3, bias=False)])
        self.head = nn.Linear(3, 5, bias=False)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.head.weight = self.embedding.weight
        self.register_buffer("gain", torch.tensor(0.5), persistent=False)

    def loss(self, row: int) -> Tensor:
        """Of one example; not by way of forward, and not of a module that a placement knows."""

        def of_row() -> Tensor:
            seen = torch.tensor([[1.0, float(row)]], dtype=self.tower.weight.dtype)
            hidden = self.embedding(torch.tensor([row])) + self.tower(seen)
            for block in self.blocks:
                hidden = torch.tanh(block(hidden)) * self.gain
            return (hidden @ self.head.weight.T).log_softmax(-1)[:, (row + 1) % 5].sum()

        return -within(self, of_row)


@dataclass
class Owner:
    model: Any


def learned(placement: Placement, model: Toy, optimizer: Any, rows: Iterable[int], *, more: int = 0) -> float | None:
    """One step from these rows, and so many passes of no weight."""
    for row in rows:
        model.loss(row).backward()
    for _ in range(more):
        (model.loss(0) * 0.0).backward()
    return placement.sum_clip_step(model, optimizer, max_norm=0.5, finite=True)


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]

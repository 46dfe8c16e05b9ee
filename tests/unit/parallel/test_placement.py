"""A replicated policy: the first process's weights everywhere, gradients summed before they are clipped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from support.two_processes import in_two
from zoom_iqa.parallel.placement import Replicated


def line(*weights: float) -> nn.Linear:
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([weights])
    return model


def of_process(number: int, folder: Path) -> dict[str, Any]:
    placement, model = Replicated(), line(1.0 + number, 2.0)
    placement.place(model)
    placed = model.weight.detach().clone()
    if number == 1:  # the first has learned nothing
        model.weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    norm = placement.sum_clip_step(model, optimizer, max_norm=1.0, finite=True)
    found = {"placed": placed, "norm": norm, "weight": model.weight.detach().clone()}
    left_out = []
    for gradient, finite in (([[math.nan, 1.0]], True), ([[1.0, 1.0]], False), ([[math.inf, 0.0]], True)):
        model.weight.grad = torch.tensor(gradient if number == 1 else [[1.0, 1.0]])
        norm = placement.sum_clip_step(model, optimizer, max_norm=1.0, finite=finite or number == 0)
        left_out.append((norm, model.weight.detach().clone(), model.weight.grad))
    return {**found, "left out": left_out}


def test_two_processes_start_alike_and_step_alike(tmp_path: Path) -> None:
    for found in in_two(of_process, tmp_path):
        assert found["placed"].tolist() == [[1.0, 2.0]]
        assert found["norm"] == 5.0
        torch.testing.assert_close(found["weight"], torch.tensor([[1.0 - 0.6, 2.0 - 0.8]]))
        # where the second process's gradient or loss is not finite, neither has stepped
        assert [norm for norm, _, _ in found["left out"]] == [None] * 3
        assert all(torch.equal(weight, found["weight"]) and grad is None for _, weight, grad in found["left out"])


def test_alone_it_clips_steps_and_clears() -> None:
    model = line(0.0, 0.0)
    model.weight.grad = torch.tensor([[0.0, 2.0]])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    assert Replicated().sum_clip_step(model, optimizer, max_norm=10.0, finite=True) == 2.0
    assert model.weight.tolist() == [[0.0, -1.0]]
    assert model.weight.grad is None


@pytest.mark.parametrize(
    ("gradient", "finite"), [([[0.0, math.nan]], True), ([[3e38, 3e38]], True), ([[0.0, 2.0]], False)]
)
def test_what_is_not_finite_reaches_neither_weights_nor_the_optimizer(gradient: Any, finite: bool) -> None:
    model = line(1.0, 2.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    model.weight.grad = torch.tensor(gradient)
    assert Replicated().sum_clip_step(model, optimizer, max_norm=1.0, finite=finite) is None
    assert model.weight.tolist() == [[1.0, 2.0]]
    assert model.weight.grad is None
    assert not optimizer.state
    model.weight.grad = torch.tensor([[0.0, 2.0]])
    assert Replicated().sum_clip_step(model, optimizer, max_norm=1.0, finite=True) == 2.0


def test_weights_are_taken_strictly() -> None:
    placement, model = Replicated(), line(1.0, 2.0)
    with placement.lent(model):
        state = {name: value.clone() for name, value in placement.state_dict(model).items()}
    other = line(0.0, 0.0)
    placement.load_state_dict(other, state)
    assert torch.equal(other.weight, model.weight)
    for wrong in ({}, {**state, "more": state["weight"]}, {"weight": torch.zeros(3, 3)}):
        with pytest.raises(RuntimeError, match=r"weight|more"):
            placement.load_state_dict(other, wrong)

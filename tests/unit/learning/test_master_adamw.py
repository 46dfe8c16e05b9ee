"""MasterAdamW against torch's AdamW in float32, and what bfloat16 alone would lose."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from support.two_processes import in_two
from zoom_iqa.learning.master_adamw import MasterAdamW, owners


def _train(weight: nn.Parameter, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        weight.grad = torch.linspace(-1, 1, weight.numel()).to(weight.dtype) * (1 + step % 3)
        optimizer.step()


def test_weights_follow_float32_adamw_rounded():
    start = torch.linspace(0.5, 2.0, 16).bfloat16()
    low = nn.Parameter(start.clone())
    full = nn.Parameter(start.float())
    settings = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
    _train(low, MasterAdamW([low], **settings), 20)
    # the gradients given are rounded to bfloat16 in both
    optimizer = torch.optim.AdamW([full], **settings)
    for step in range(20):
        full.grad = (torch.linspace(-1, 1, 16).bfloat16() * (1 + step % 3)).float()
        optimizer.step()
    assert torch.equal(low.detach(), full.detach().bfloat16())


def test_small_steps_add_up_where_bfloat16_loses_them():
    settings = {"lr": 1e-5, "betas": (0.9, 0.95), "weight_decay": 0.0}
    kept, lost = nn.Parameter(torch.ones(4).bfloat16()), nn.Parameter(torch.ones(4).bfloat16())
    ours, plain = MasterAdamW([kept], **settings), torch.optim.AdamW([lost], **settings)
    for _ in range(1000):
        for weight, optimizer in ((kept, ours), (lost, plain)):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert torch.equal(lost.detach(), torch.ones(4).bfloat16())
    torch.testing.assert_close(kept.detach().float(), torch.full((4,), 0.99), atol=4e-3, rtol=0)


def test_a_step_is_of_the_learning_rate_that_a_schedule_has_set():
    weight = nn.Parameter(torch.ones(1))
    optimizer = MasterAdamW([weight], lr=0.1, betas=(0.9, 0.95), weight_decay=0.0)
    found = []
    for lr in (0.1, 0.0, 0.2):  # equal gradients are stepped along by lr itself
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.ones(1)
        optimizer.step()
        found.append(weight.item())
    assert found == pytest.approx([0.9, 0.9, 0.7])


def test_a_restored_optimizer_goes_on_as_if_never_stopped():
    settings = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.0}
    whole = nn.Parameter(torch.ones(8).bfloat16())
    optimizer = MasterAdamW([whole], **settings)
    _train(whole, optimizer, 5)
    optimizer.param_groups[0]["lr"] = 1e-2  # as a schedule may
    state = optimizer.state_dict()
    resumed = nn.Parameter(torch.zeros(8).bfloat16())
    again = MasterAdamW([resumed], **settings)
    again.load_state_dict(state)
    _train(whole, optimizer, 7)
    _train(resumed, again, 7)
    assert torch.equal(whole, resumed)


def test_states_are_shared_out_evenly():
    assert owners([100, 1, 60, 40], 2) == [0, 0, 1, 1]  # 101 and 100 numbers


def test_released_it_keeps_no_number():
    weight = nn.Parameter(torch.ones(8).bfloat16())
    optimizer = MasterAdamW([weight], lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    _train(weight, optimizer, 2)
    (master,) = optimizer._masters.values()
    kept = [weakref.ref(tensor) for tensor in (master, *optimizer._inner.state[master].values())]
    assert len(kept) == 4
    del master
    optimizer.release_memory()
    assert [one() for one in kept] == [None] * 4


def _collected(number: int, folder: Path) -> list[Any]:
    """The states that a process gives before a step and after one, of parameters that either of two owns."""
    parameters = [nn.Parameter(torch.arange(size).bfloat16()) for size in (5, 3)]
    optimizer = MasterAdamW(parameters, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    before = copy.deepcopy(optimizer.state_dict()["states"])
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return [before, optimizer.state_dict()["states"]]


def test_the_first_of_two_processes_has_the_states_of_all(tmp_path: Path) -> None:
    first, second = in_two(_collected, tmp_path)
    alone = _collected(0, tmp_path)
    assert first[0][1].keys() == {"master"}
    assert first[1][1].keys() == {"master", "step", "exp_avg", "exp_avg_sq"}
    for found, expected in zip(first, alone, strict=True):
        for own, one in zip(found, expected, strict=True):
            assert own.keys() == one.keys()
            assert all(torch.equal(own[key], one[key]) and own[key].dtype == one[key].dtype for key in one)
    assert second == [[{}, {}], [{}, {}]]

"""Offloaded checkpoints give the same gradients, and the graph holds copies of blocks' inputs, not the inputs."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from support.fitting import own_copy
from zoom_iqa.policy import offloading
from zoom_iqa.policy.offloading import offload_checkpoints, offloaded_checkpoint
from zoom_iqa.policy.policy import Policy


def of_two_blocks(recomputed: Any) -> tuple[Tensor, Tensor, list[weakref.ref[Tensor]]]:
    """The gradients of input and weight, and the inputs of blocks as they were after the forward pass."""
    torch.manual_seed(0)
    start, block = torch.randn(3, 4, requires_grad=True), nn.Linear(4, 4)
    first = start * 2.0
    second = recomputed(lambda x: block(x).tanh(), first)
    met = [weakref.ref(first), weakref.ref(second)]
    last = recomputed(lambda x: block(x).tanh(), second)
    loss = last.sum()
    del first, second, last
    gc.collect()
    alive = [one for one in met if one() is not None]
    loss.backward()
    assert start.grad is not None
    assert block.weight.grad is not None
    return start.grad, block.weight.grad, alive


def test_gradients_are_those_of_plain_checkpoints_and_inputs_are_let_go() -> None:
    def plain(block: Any, hidden: Tensor) -> Tensor:
        return checkpoint(block, hidden, use_reentrant=False)  # type: ignore[no-any-return]

    expected, found = of_two_blocks(plain), of_two_blocks(offloaded_checkpoint)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert len(expected[2]) == 2
    assert found[2] == []


def test_every_block_of_a_policy_is_offloaded(random_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(offloaded: bool) -> Tensor:
        policy = own_copy(random_policy)
        policy.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if offloaded:
            offload_checkpoints(policy.model)
        policy.model.train()
        ids = torch.arange(20, 40)[None]
        policy.model(input_ids=ids, labels=ids).loss.backward()
        return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])

    met: list[Any] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        met.append(arguments)
        return checkpoint(*arguments, **named)

    monkeypatch.setattr(offloading, "checkpoint", counted)
    expected = gradient(False)
    assert met == []
    assert torch.equal(gradient(True), expected)
    assert len(met) == random_policy.model.config.get_text_config().num_hidden_layers

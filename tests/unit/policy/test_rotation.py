"""Rotary positions with a backward of their own against transformers' function and autograd."""

from __future__ import annotations

import pytest
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from zoom_iqa.policy.rotation import rotated


def test_output_and_gradient_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    angle = torch.randn(1, 5, 4)
    rotation = (torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin())
    q, k = torch.randn(1, 4, 5, 8, requires_grad=True), torch.randn(1, 2, 5, 8, requires_grad=True)
    upstream = torch.randn(1, 4, 5, 8)
    expected, expected_k = apply_rotary_pos_emb(q, k, *rotation)
    found = rotated(q, rotation)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(rotated(k, rotation), expected_k)
    (grad,) = torch.autograd.grad(found, q, upstream)
    (expected_grad,) = torch.autograd.grad(expected, q, upstream)
    torch.testing.assert_close(grad, expected_grad)


def test_a_quarter_turn_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]], requires_grad=True)
    found = rotated(x, (torch.zeros(1, 1, 4), torch.ones(1, 1, 4)))
    assert found.flatten().tolist() == [-3.0, -4.0, 1.0, 2.0]
    found.backward(torch.tensor([[[[1.0, 0.0, 0.0, 5.0]]]]))
    assert x.grad is not None
    assert x.grad.flatten().tolist() == pytest.approx([0.0, 5.0, -1.0, 0.0])

"""RMSNorm with a backward of its own against transformers' module and autograd."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRMSNorm

from support.random_policy import build_random_policy
from zoom_iqa.policy.norm import install


def norms(dtype: torch.dtype, *, eps: float = 1e-6) -> tuple[Qwen2_5_VLRMSNorm, Qwen2_5_VLRMSNorm]:
    """Transformers' norm and ours, with the same weights."""
    torch.manual_seed(0)
    usual = Qwen2_5_VLRMSNorm(24, eps=eps)
    torch.nn.init.normal_(usual.weight)
    usual = usual.to(dtype)
    ours = copy.deepcopy(usual)
    install(ours)
    return usual, ours


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_output_and_gradients_are_those_of_autograd(dtype: torch.dtype, tolerance: float, eps: float) -> None:
    x = (3 * torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(1))).to(dtype)
    x[0, 0] = 0
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    found = []
    for module in norms(dtype, eps=eps):
        shown = x.clone().requires_grad_()
        out = module(shown)
        out.backward(upstream)
        assert shown.grad is not None
        assert module.weight.grad is not None
        assert out.dtype == shown.grad.dtype == module.weight.grad.dtype == dtype
        found.append((out, shown.grad, module.weight.grad))
    (expected, expected_x, expected_weight), (out, grad_x, grad_weight) = found
    torch.testing.assert_close(out, expected, rtol=0, atol=tolerance)
    scale = float(expected_x.abs().max())
    torch.testing.assert_close(grad_x, expected_x, rtol=tolerance, atol=tolerance * scale)
    torch.testing.assert_close(grad_weight, expected_weight, rtol=10 * tolerance, atol=10 * tolerance)


def test_a_gradient_by_hand() -> None:
    _, ours = norms(torch.float32, eps=0.0)
    ours.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    x = torch.tensor([[3.0, 4.0]], requires_grad=True)  # mean square 12.5
    (out,) = ours(x)
    assert out.tolist() == pytest.approx([3 / 12.5**0.5, 8 / 12.5**0.5])
    out[0].backward()
    assert x.grad is not None
    # d(x1 / r) = 1/r - x1^2 / (2 r^3) = (12.5 - 4.5) / r^3, and -x1 x2 / (2 r^3) = -6 / r^3
    assert x.grad[0].tolist() == pytest.approx([8 / 12.5**1.5, -6 / 12.5**1.5])
    assert ours.weight.grad is not None
    assert ours.weight.grad.tolist() == pytest.approx([3 / 12.5**0.5, 0])


def test_a_frozen_weight_gets_no_gradient() -> None:
    _, ours = norms(torch.float32)
    ours.weight.requires_grad_(False)
    x = torch.randn(3, 24, requires_grad=True)
    ours(x).sum().backward()
    assert x.grad is not None
    assert ours.weight.grad is None


def test_every_norm_of_a_policy_has_it_once() -> None:
    model = build_random_policy().model
    kinds = [type(module) for module in model.modules() if isinstance(module, Qwen2_5_VLRMSNorm)]
    assert kinds
    assert all(kind is not Qwen2_5_VLRMSNorm for kind in kinds)
    install(model)
    assert [type(module) for module in model.modules() if isinstance(module, Qwen2_5_VLRMSNorm)] == kinds

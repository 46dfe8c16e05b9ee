"""RMSNorm with a backward of five passes over its rows, where autograd makes a dozen; forward and rounding unchanged.

With y = w x / rms(x) and a gradient g of y, dx = (w g - x (sum w g x) / (H rms^2)) / rms and dw = sum g x / rms
(Zhang, Sennrich, arXiv 1910.07467, equation 4, differentiated).

Legend: T rows, H hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoom_iqa.policy.module_class import put_before


def install(model: torch.nn.Module) -> None:
    """Let the norms of a model's layers and tower make their gradient so."""
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRMSNorm

    for module in model.modules():
        if isinstance(module, Qwen2_5_VLRMSNorm):
            put_before(module, _RMSNorm)


class _RMSNorm(torch.nn.Module):
    """Stands before a norm's class."""

    weight: Tensor
    variance_epsilon: float

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Hidden states (..., H) of root mean square 1, times the weights."""
        out: Tensor = _Normed.apply(hidden_states, self.weight, self.variance_epsilon)
        return out


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_H: Tensor, eps: float) -> Tensor:
        x32_TH = x.float().reshape(-1, len(weight_H))
        inverse_T1 = torch.linalg.vecdot(x32_TH, x32_TH).div_(len(weight_H)).add_(eps).rsqrt_()[:, None]
        ctx.save_for_backward(x, weight_H, inverse_T1)
        return (x32_TH * inverse_T1).to(x.dtype).mul_(weight_H).view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_H, inverse_T1 = ctx.saved_tensors
        weight32_H = weight_H.float()
        x32_TH, grad_TH = (value.float().reshape(-1, len(weight_H)) for value in (x, grads[0]))
        product_TH = grad_TH * x32_TH
        grad_weight_H = torch.mv(product_TH.T, inverse_T1[:, 0]).to(weight_H.dtype) if ctx.needs_input_grad[1] else None
        slope_T1 = torch.mv(product_TH, weight32_H)[:, None].mul_(inverse_T1.pow(3)).div_(-len(weight_H))
        grad_x_TH = torch.mul(x32_TH, slope_T1, out=product_TH).addcmul_(grad_TH * weight32_H, inverse_T1)
        return grad_x_TH.to(x.dtype).view_as(x), grad_weight_H, None

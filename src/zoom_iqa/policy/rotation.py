"""Rotary positions with a backward of their own: the rotation by the opposite angle, in three passes.

Legend: H heads, T tokens, D head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def rotated(x_1HTD: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Heads turned by the cosines and sines (1, T, D) of their positions, as transformers' ``apply_rotary_pos_emb``."""
    cos_1TD, sin_1TD = rotation
    out: Tensor = _Rotated.apply(x_1HTD, cos_1TD, sin_1TD)
    return out


class _Rotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_1HTD: Tensor, cos_1TD: Tensor, sin_1TD: Tensor) -> Tensor:
        ctx.save_for_backward(cos_1TD, sin_1TD)
        return _turned(x_1HTD, cos_1TD, sin_1TD, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos_1TD, sin_1TD = ctx.saved_tensors
        return _turned(grads[0], cos_1TD, sin_1TD, -1), None, None


def _turned(x_1HTD: Tensor, cos_1TD: Tensor, sin_1TD: Tensor, sign: int) -> Tensor:
    out_1HTD = x_1HTD * cos_1TD[:, None]
    (x1, x2), (sin1, sin2), (out1, out2) = (x.chunk(2, -1) for x in (x_1HTD, sin_1TD[:, None], out_1HTD))
    out1.addcmul_(x2, sin1, value=-sign)
    out2.addcmul_(x1, sin2, value=sign)
    return out_1HTD

"""One token further for all rows: the language model's forward for single positions, over the cohorts' caches.

The linear layers see all rows at once; only attention goes cohort by cohort.

Legend: R rows, H hidden width, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.engines.native.cache import CohortCache
from zoom_iqa.engines.native.weights import DecoderWeights


def decode(weights: DecoderWeights, caches: Sequence[CohortCache], tokens_R: Tensor, positions_R: Tensor) -> Tensor:
    """Hidden states (R, H), after the last norm, that predict each row's next token.

    Rows stand in the order of their cohorts; ``positions_R`` are M-RoPE positions, equal on all axes for text.
    """
    queries, keys = weights.query_heads, weights.key_heads
    cos, sin = _rotation(weights, positions_R)
    counts = [cache.rows for cache in caches]
    for cache in caches:
        cache.advance()
    x_RH = weights.embedding_VH[tokens_R]
    for index, layer in enumerate(weights.layers):
        qkv = layer.qkv(rms_norm(x_RH, layer.norm_H, weights.root_eps))
        qkv = qkv.view(len(tokens_R), queries + 2 * keys, weights.head_width)
        turned = _rotate(qkv[:, : queries + keys], cos, sin)
        blocks = zip(
            caches, turned[:, :queries].split(counts), turned[:, queries:].split(counts),
            qkv[:, queries + keys :].split(counts), strict=True,
        )  # fmt: skip
        attended = [cache.attend(index, q, k, v) for cache, q, k, v in blocks]
        x_RH = x_RH + layer.out(attended[0] if len(attended) == 1 else torch.cat(attended))
        gate, up = layer.gate_up(rms_norm(x_RH, layer.mlp_norm_H, weights.root_eps)).chunk(2, -1)
        x_RH = x_RH + layer.down(F.silu(gate) * up)
    return rms_norm(x_RH, weights.norm_H, weights.root_eps)


def rms_norm(x_RH: Tensor, gain_H: Tensor, root_eps: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467) as x / sqrt(|x|^2 + H eps) * gain: fewer, smaller kernels.

    ``gain_H`` is sqrt(H) * weight and ``root_eps`` sqrt(H * eps).
    """
    length_R1 = torch.linalg.vector_norm(x_RH, dim=-1, keepdim=True, dtype=torch.float32)
    return (x_RH / torch.hypot(length_R1, root_eps)).to(x_RH.dtype) * gain_H


def _rotation(weights: DecoderWeights, positions_R: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (R, 1, D): what ``_rotate`` multiplies by."""
    angles = positions_R[:, None].float() * weights.frequencies_F
    cos, sin = angles.cos() * weights.rotary_gain, angles.sin() * weights.rotary_gain
    dtype = weights.embedding_VH.dtype
    return torch.cat((cos, cos), -1)[:, None].to(dtype), torch.cat((-sin, sin), -1)[:, None].to(dtype)


def _rotate(x_RHD: Tensor, cos_R1D: Tensor, sin_R1D: Tensor) -> Tensor:
    """Rotary embedding (arXiv 2104.09864) with the two halves of a head as real and imaginary parts."""
    first, second = x_RHD.chunk(2, -1)
    return torch.addcmul(x_RHD * cos_R1D, torch.cat((second, first), -1), sin_R1D)

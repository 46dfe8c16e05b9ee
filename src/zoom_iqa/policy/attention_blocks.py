"""Attention over one block of keys, with the log-sum-exp that lets blocks be merged, and its exact backward.

softmax over several blocks of keys is a weighted sum of the softmax over each, weighted by exp(log-sum-exp); and the
backward of a block needs only the merged output and the merged log-sum-exp (FlashAttention, arXiv 2205.14135, section
3.1; the same identity carries ring attention). The kernels are torch's own FlashAttention: the CPU one, or version 2 on
CUDA in 16-bit types; elsewhere the textbook formula, which needs memory for every score.

Legend: B batch, H heads, Q queries, K keys, D head width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["flash_cpu", "flash_cuda", "explicit"]
SPLIT = 256  # longer causal blocks are cut on a CPU, where the kernel computes most of what lies above the diagonal


def choose_kernel(query: Tensor, attention: str) -> Kernel:
    """The kernel for a tensor's device and type; ``attention`` "eager" asks for the explicit formula."""
    if attention == "eager":
        return "explicit"
    if query.device.type == "cpu":
        return "flash_cpu"
    half = query.dtype in (torch.bfloat16, torch.float16)
    return "flash_cuda" if query.is_cuda and half else "explicit"


def attend(
    kernel: Kernel, q_BHQD: Tensor, k_BHKD: Tensor, v_BHKD: Tensor, *, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """Output (B, H, Q, D) and log-sum-exp (B, H, Q) in nats. ``causal`` needs as many queries as keys."""
    if causal and kernel == "flash_cpu" and q_BHQD.shape[2] > SPLIT:
        return _attend_in_halves(q_BHQD, k_BHKD, v_BHKD, scale)
    if kernel == "flash_cpu":
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q_BHQD, k_BHKD, v_BHKD, 0.0, causal, scale=scale
        )
        return out, lse
    if kernel == "flash_cuda":
        found = torch.ops.aten._scaled_dot_product_flash_attention(q_BHQD, k_BHKD, v_BHKD, 0.0, causal, scale=scale)
        return found[0], found[1][..., : q_BHQD.shape[2]]
    scores_BHQK = _scores(q_BHQD, k_BHKD, causal, scale)
    lse_BHQ = scores_BHQK.logsumexp(-1)
    p_BHQK = torch.exp(scores_BHQK - lse_BHQ[..., None])
    return (p_BHQK @ v_BHKD.to(p_BHQK.dtype)).to(q_BHQD.dtype), lse_BHQ


def attend_backward(
    kernel: Kernel,
    grad_BHQD: Tensor,
    q_BHQD: Tensor,
    k_BHKD: Tensor,
    v_BHKD: Tensor,
    out_BHQD: Tensor,
    lse_BHQ: Tensor,
    *,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """This block's share of the gradients of queries, keys and values; ``out`` and ``lse`` are the merged ones."""
    if causal and kernel == "flash_cpu" and q_BHQD.shape[2] > SPLIT:
        return _attend_in_halves_backward(grad_BHQD, q_BHQD, k_BHKD, v_BHKD, out_BHQD, lse_BHQ, scale)
    if kernel == "flash_cpu":
        dq, dk, dv = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_BHQD, q_BHQD, k_BHKD, v_BHKD, out_BHQD, lse_BHQ, 0.0, causal, scale=scale
        )
        return dq, dk, dv
    if kernel == "flash_cuda":
        no_dropout = torch.zeros((), dtype=torch.uint64, device=q_BHQD.device)
        dq, dk, dv = torch.ops.aten._scaled_dot_product_flash_attention_backward(
            grad_BHQD, q_BHQD, k_BHKD, v_BHKD, out_BHQD, lse_BHQ.contiguous(), None, None,
            q_BHQD.shape[2], k_BHKD.shape[2], 0.0, causal, no_dropout, no_dropout, scale=scale,
        )  # fmt: skip
        return dq, dk, dv
    p_BHQK = torch.exp(_scores(q_BHQD, k_BHKD, causal, scale) - lse_BHQ[..., None])
    grad = grad_BHQD.to(p_BHQK.dtype)
    weight_BHQ1 = (grad * out_BHQD).sum(-1, keepdim=True)
    slope_BHQK = p_BHQK * (grad @ v_BHKD.to(p_BHQK.dtype).mT - weight_BHQ1) * scale
    return (
        (slope_BHQK @ k_BHKD.to(p_BHQK.dtype)).to(q_BHQD.dtype),
        (slope_BHQK.mT @ q_BHQD.to(p_BHQK.dtype)).to(k_BHKD.dtype),
        (p_BHQK.mT @ grad).to(v_BHKD.dtype),
    )


def _attend_in_halves(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """A causal block as two half as long, and the later queries' sight of the earlier keys, which needs no mask."""
    (q1, q2), (k1, k2), (v1, v2) = _halves(q), _halves(k), _halves(v)
    out1, lse1 = attend("flash_cpu", q1, k1, v1, causal=True, scale=scale)
    out2, lse2 = attend("flash_cpu", q2, k2, v2, causal=True, scale=scale)
    merge(out2, lse2, *attend("flash_cpu", q2, k1, v1, causal=False, scale=scale))
    return torch.cat((out1, out2), 2), torch.cat((lse1, lse2), 2)


def _attend_in_halves_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    (g1, g2), (q1, q2), (k1, k2), (v1, v2), (o1, o2), (l1, l2) = map(_halves, (grad, q, k, v, out, lse))
    dq1, dk1, dv1 = attend_backward("flash_cpu", g1, q1, k1, v1, o1, l1, causal=True, scale=scale)
    dq2, dk2, dv2 = attend_backward("flash_cpu", g2, q2, k2, v2, o2, l2, causal=True, scale=scale)
    across = attend_backward("flash_cpu", g2, q2, k1, v1, o2, l2, causal=False, scale=scale)
    for total, part in zip((dq2, dk1, dv1), across, strict=True):
        total += part
    return torch.cat((dq1, dq2), 2), torch.cat((dk1, dk2), 2), torch.cat((dv1, dv2), 2)


def _halves(x_BHQ: Tensor) -> tuple[Tensor, Tensor]:
    """The earlier and the later tokens, along the third axis."""
    half = x_BHQ.shape[2] // 2
    return x_BHQ[:, :, :half], x_BHQ[:, :, half:]


def merge(out_BHQD: Tensor, lse_BHQ: Tensor, more_BHQD: Tensor, more_lse_BHQ: Tensor) -> None:
    """Add, in place, to what queries took from some keys what they take from others; -inf where that was nothing."""
    share_BHQ1 = torch.sigmoid(more_lse_BHQ - lse_BHQ)[..., None].to(out_BHQD.dtype)
    out_BHQD.lerp_(more_BHQD, share_BHQ1.expand_as(out_BHQD))
    lse_BHQ.copy_(torch.logaddexp(lse_BHQ, more_lse_BHQ))


def _scores(q_BHQD: Tensor, k_BHKD: Tensor, causal: bool, scale: float) -> Tensor:
    scores_BHQK = (q_BHQD @ k_BHKD.mT).to(torch.promote_types(q_BHQD.dtype, torch.float32)) * scale
    if causal:
        count = q_BHQD.shape[2]
        later = torch.ones(count, count, dtype=torch.bool, device=q_BHQD.device).triu_(1)
        scores_BHQK = scores_BHQK.masked_fill(later, -torch.inf)
    return scores_BHQK

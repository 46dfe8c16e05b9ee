"""Attention by a pattern: each row's own piece, then blocks of keys, merged by their log-sum-exp; with its backward.

Everything below a piece attends to it in a single block (as in Hydragen, arXiv 2402.05099), so keys and values are
never copied per branch, and the gradient flows into a piece from all of them.

Legend: T packed tokens, W rows that attend (all tokens, or some), H query heads, J key-value heads, D head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoom_iqa.policy.attention_blocks import Kernel, attend, attend_backward, merge
from zoom_iqa.policy.packed_layout import Pattern


class PackedAttention(torch.autograd.Function):
    """Saves queries, keys, values, output and log-sum-exp once per token, however many branches see it."""

    @staticmethod
    def forward(
        ctx: Any,
        q_1HWD: Tensor,
        k_1JTD: Tensor,
        v_1JTD: Tensor,
        pattern: Pattern,
        layer: int,
        scale: float,
        kernel: Kernel,
    ) -> Tensor:
        """Attended values (1, W, H, D); ``layer`` says which keys of ``pattern.past`` are meant."""
        k, v = _per_query_head(q_1HWD, k_1JTD), _per_query_head(q_1HWD, v_1JTD)
        _, heads, rows, width = q_1HWD.shape
        out = q_1HWD.new_zeros(1, rows, heads, width).transpose(1, 2)
        lse = q_1HWD.new_full((1, heads, rows), -torch.inf, dtype=torch.promote_types(q_1HWD.dtype, torch.float32))
        for run in pattern.runs:
            own, own_lse = attend(
                kernel, _pieces(q_1HWD, run.rows, run.count), _pieces(k, run.tokens, run.count),
                _pieces(v, run.tokens, run.count), causal=True, scale=scale,
            )  # fmt: skip
            _pieces(out, run.rows, run.count).copy_(own)
            _pieces(lse[..., None], run.rows, run.count)[..., 0].copy_(own_lse)
        seen = [(block.queries, k[:, :, block.keys], v[:, :, block.keys]) for block in pattern.blocks]
        for past in pattern.past:
            past_k, past_v = (_per_query_head(q_1HWD, x[None]) for x in past.kv[layer])
            seen.append((past.queries, past_k, past_v))
        for at, keys, values in seen:
            more, more_lse = attend(kernel, q_1HWD[:, :, at], keys, values, causal=False, scale=scale)
            merge(out[:, :, at], lse[:, :, at], more, more_lse)
        ctx.save_for_backward(q_1HWD, k_1JTD, v_1JTD, out, lse)
        ctx.pattern, ctx.scale, ctx.kernel = pattern, scale, kernel
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Each piece and block gives its share to queries, keys and values."""
        assert not ctx.pattern.past, "keys of an earlier forward get no gradient"
        q, k_1JTD, v_1JTD, out, lse = ctx.saved_tensors
        grad = grads[0].transpose(1, 2)
        k, v = _per_query_head(q, k_1JTD), _per_query_head(q, v_1JTD)
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for run in ctx.pattern.runs:
            rows, tokens, n = run.rows, run.tokens, run.count
            own = attend_backward(
                ctx.kernel, _pieces(grad, rows, n), _pieces(q, rows, n), _pieces(k, tokens, n), _pieces(v, tokens, n),
                _pieces(out, rows, n), _pieces(lse[..., None], rows, n)[..., 0], causal=True, scale=ctx.scale,
            )  # fmt: skip
            for total, part, where in zip((dq, dk, dv), own, (rows, tokens, tokens), strict=True):
                _pieces(total, where, n).add_(part)
        for block in ctx.pattern.blocks:
            at, seen = block.queries, block.keys
            more = attend_backward(
                ctx.kernel, grad[:, :, at], q[:, :, at], k[:, :, seen], v[:, :, seen], out[:, :, at], lse[:, :, at],
                causal=False, scale=ctx.scale,
            )  # fmt: skip
            for total, part, where in zip((dq, dk, dv), more, (at, seen, seen), strict=True):
                total[:, :, where] += part
        return dq, _per_key_head(dk, k_1JTD), _per_key_head(dv, v_1JTD), None, None, None, None


def _pieces(x_1HTD: Tensor, span: slice, count: int) -> Tensor:
    """A view (count, H, length, D) of a span of ``count`` pieces."""
    return x_1HTD[0, :, span].unflatten(1, (count, -1)).transpose(0, 1)


def _per_query_head(q_1HTD: Tensor, k_1JTD: Tensor) -> Tensor:
    times = q_1HTD.shape[1] // k_1JTD.shape[1]
    return k_1JTD if times == 1 else k_1JTD.repeat_interleave(times, 1)


def _per_key_head(grad_1HTD: Tensor, k_1JTD: Tensor) -> Tensor:
    return grad_1HTD.unflatten(1, (k_1JTD.shape[1], -1)).sum(2)

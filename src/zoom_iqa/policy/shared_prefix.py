"""Attention over a packed tree of token sequences, in which a common beginning exists once.

[prompt a | completion a1 | completion a2 | prompt b | ...]: a token sees its own piece up to itself and all of each
piece before it on its branch. Everything below a piece attends to it in a single block (as in Hydragen, arXiv
2402.05099), so keys and values are never copied per branch, and the gradient flows into a piece from all of them.

It plugs in through transformers' attention interface: every module of the model, adapters and gradient checkpointing
included, works unchanged; a forward without a layout is attended as before.

Legend: T packed tokens, H query heads, J key-value heads, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.attention_blocks import Kernel, attend, attend_backward, choose_kernel

PREFIX = "shared_prefix_"


@dataclass(frozen=True)
class Run:
    """``count`` adjacent pieces of ``length`` tokens each, from token ``start`` of the packed sequence."""

    start: int
    count: int
    length: int

    @property
    def span(self) -> slice:
        """The tokens of the run."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True)
class CrossBlock:
    """All tokens ``queries`` see all tokens ``keys``."""

    keys: slice
    queries: slice


@dataclass(frozen=True, eq=False)
class PastBlock:
    """All tokens ``queries`` see all tokens of an earlier forward, given by their keys and values.

    ``kv`` is (layers, 2, J, tokens, D).
    """

    kv: Tensor
    queries: slice


@dataclass(frozen=True, eq=False)
class PackedLayout:
    """Who sees whom: a token its own piece of a run up to itself, and what blocks add.

    Every token is in one run. ``past`` is for forwards without gradient. ``kept``, when given, receives each layer's
    keys and values (1, J, T, D).
    """

    runs: tuple[Run, ...]
    blocks: tuple[CrossBlock, ...]
    past: tuple[PastBlock, ...] = ()
    kept: dict[int, tuple[Tensor, Tensor]] | None = field(default=None)


def forward_packed(model: Any, embedded_TH: Tensor, positions_3T: Tensor, layout: PackedLayout) -> Tensor:
    """Last hidden states (T, hidden width) of a packed sequence.

    Raises:
        PolicyError: ``install`` was not called on the model, or its attention was changed afterwards.
    """
    attention = model.model.language_model.config._attn_implementation
    if not attention.startswith(PREFIX):
        raise PolicyError(f"attention {attention} ignores layouts: every token would see all before it; call install")
    out = model.model.language_model(
        inputs_embeds=embedded_TH[None],
        position_ids=positions_3T[:, None].to(embedded_TH.device),
        attention_mask={"full_attention": None},
        use_cache=False,
        layout=layout,
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden


def install(model: Any) -> None:
    """Let the language model attend by layouts; anything without one goes through the implementation it had.

    Raises:
        PolicyError: the model uses sliding-window attention.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

    config = model.model.language_model.config
    before = config._attn_implementation
    if before.startswith(PREFIX):
        return
    if set(config.layer_types) != {"full_attention"}:
        raise PolicyError("use_sliding_window=true is not supported; load a model with full attention")
    usual = ALL_ATTENTION_FUNCTIONS.get_interface(before, eager_attention_forward)
    AttentionInterface.register(PREFIX + before, partial(_packed_or_usual, usual=usual, attention=before))
    AttentionMaskInterface.register(PREFIX + before, ALL_MASK_ATTENTION_FUNCTIONS[before])
    config._attn_implementation = PREFIX + before


def _packed_or_usual(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    usual: Any,
    attention: str,
    layout: PackedLayout | None = None,
    **rest: Any,  # transformers' own signature
) -> tuple[Tensor, Tensor | None]:
    if layout is None:
        found: tuple[Tensor, Tensor | None] = usual(module, query, key, value, attention_mask, **rest)
        return found
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # a plain int
    if layout.kept is not None:
        layout.kept[layer] = (key, value)
    kernel = choose_kernel(query, attention)
    return _SharedPrefixAttention.apply(query, key, value, layout, layer, rest["scaling"], kernel), None


class _SharedPrefixAttention(torch.autograd.Function):
    """Saves queries, keys, values, output and log-sum-exp once per token, however many branches see it."""

    @staticmethod
    def forward(
        ctx: Any,
        q_1HTD: Tensor,
        k_1JTD: Tensor,
        v_1JTD: Tensor,
        layout: PackedLayout,
        layer: int,
        scale: float,
        kernel: Kernel,
    ) -> Tensor:
        k, v = _per_query_head(q_1HTD, k_1JTD), _per_query_head(q_1HTD, v_1JTD)
        _, heads, total, width = q_1HTD.shape
        out = q_1HTD.new_empty(1, total, heads, width).transpose(1, 2)
        lse = q_1HTD.new_empty(1, heads, total, dtype=torch.promote_types(q_1HTD.dtype, torch.float32))
        for run in layout.runs:
            own, own_lse = attend(kernel, _rows(q_1HTD, run), _rows(k, run), _rows(v, run), causal=True, scale=scale)
            _rows(out, run).copy_(own)
            _rows(lse[..., None], run)[..., 0].copy_(own_lse)
        seen = [(block.queries, k[:, :, block.keys], v[:, :, block.keys]) for block in layout.blocks]
        for past in layout.past:
            past_k, past_v = (_per_query_head(q_1HTD, x[None]) for x in past.kv[layer])
            seen.append((past.queries, past_k, past_v))
        for at, keys, values in seen:
            more, more_lse = attend(kernel, q_1HTD[:, :, at], keys, values, causal=False, scale=scale)
            _merge(out[:, :, at], lse[:, :, at], more, more_lse)
        ctx.save_for_backward(q_1HTD, k_1JTD, v_1JTD, out, lse)
        ctx.layout, ctx.scale, ctx.kernel = layout, scale, kernel
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert not ctx.layout.past, "keys of an earlier forward get no gradient"
        q, k_1JTD, v_1JTD, out, lse = ctx.saved_tensors
        grad = grads[0].transpose(1, 2)
        k, v = _per_query_head(q, k_1JTD), _per_query_head(q, v_1JTD)
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for run in ctx.layout.runs:
            own = attend_backward(
                ctx.kernel, _rows(grad, run), _rows(q, run), _rows(k, run), _rows(v, run), _rows(out, run),
                _rows(lse[..., None], run)[..., 0], causal=True, scale=ctx.scale,
            )  # fmt: skip
            for total, part in zip((dq, dk, dv), own, strict=True):
                _rows(total, run).copy_(part)
        for block in ctx.layout.blocks:
            at, seen = block.queries, block.keys
            more = attend_backward(
                ctx.kernel, grad[:, :, at], q[:, :, at], k[:, :, seen], v[:, :, seen], out[:, :, at], lse[:, :, at],
                causal=False, scale=ctx.scale,
            )  # fmt: skip
            for total, part, where in zip((dq, dk, dv), more, (at, seen, seen), strict=True):
                total[:, :, where] += part
        return dq, _per_key_head(dk, k_1JTD), _per_key_head(dv, v_1JTD), None, None, None, None


def _rows(x_1HTD: Tensor, run: Run) -> Tensor:
    """A view (count, H, length, D) of a run's tokens."""
    return x_1HTD[0, :, run.span].unflatten(1, (run.count, run.length)).transpose(0, 1)


def _merge(out: Tensor, lse: Tensor, more: Tensor, more_lse: Tensor) -> None:
    """Add to what queries took from some keys what they take from others."""
    share = torch.sigmoid(more_lse - lse)[..., None].to(out.dtype)
    out.lerp_(more, share.expand_as(out))
    lse.copy_(torch.logaddexp(lse, more_lse))


def _per_query_head(q_1HTD: Tensor, k_1JTD: Tensor) -> Tensor:
    times = q_1HTD.shape[1] // k_1JTD.shape[1]
    return k_1JTD if times == 1 else k_1JTD.repeat_interleave(times, 1)


def _per_key_head(grad_1HTD: Tensor, k_1JTD: Tensor) -> Tensor:
    return grad_1HTD.unflatten(1, (k_1JTD.shape[1], -1)).sum(2)

"""A forward over a packed tree of token sequences, in which a common beginning exists once.

[prompt a | completion a1 | completion a2 | prompt b | ...]: a token sees its own piece up to itself and all of each
piece before it on its branch, and only tokens that predict something come out of the last layer.

It plugs in through transformers' attention interface and the classes of its attention and of the last layer: every
module of the model, adapters and gradient checkpointing included, works unchanged; a forward without a layout is as
before.

Legend: T packed tokens, W wanted ones, H hidden width.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy import packed_layers
from zoom_iqa.policy.attention_blocks import choose_kernel
from zoom_iqa.policy.packed_attention import PackedAttention
from zoom_iqa.policy.packed_layout import PackedLayout

PREFIX = "shared_prefix_"


def forward_packed(model: Any, embedded_TH: Tensor, positions_3T: Tensor, layout: PackedLayout) -> Tensor:
    """Last hidden states (W, H) of the tokens of a packed sequence that the layout wants.

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
    if before.startswith(PREFIX):  # perhaps in a config that was copied into another model
        packed_layers.install(model.model.language_model)
        return
    if set(config.layer_types) != {"full_attention"}:
        raise PolicyError("use_sliding_window=true is not supported; load a model with full attention")
    usual = ALL_ATTENTION_FUNCTIONS.get_interface(before, eager_attention_forward)
    AttentionInterface.register(PREFIX + before, partial(_packed_or_usual, usual=usual, attention=before))
    AttentionMaskInterface.register(PREFIX + before, ALL_MASK_ATTENTION_FUNCTIONS[before])
    config._attn_implementation = PREFIX + before
    packed_layers.install(model.model.language_model)


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
    is_last = layer == module.config.num_hidden_layers - 1  # type: ignore[union-attr, operator]  # a model's config
    pattern = layout.last if is_last else layout.pattern
    kernel = choose_kernel(query, attention)
    return PackedAttention.apply(query, key, value, pattern, layer, rest["scaling"], kernel), None

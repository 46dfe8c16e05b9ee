"""Decoder layers over a packed sequence: attention with our rotation, and the last layer for the tokens that predict.

Every token gives keys and values; but what the last layer makes of a token is read only where a completion's token is
predicted, so queries, attention, the MLP and the last norm see those rows alone. Four fifths of a second turn's tokens
are its prompt.

Legend: T packed tokens, W wanted ones, H hidden width; before D, H query heads and J key-value heads of width D.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoom_iqa.policy.module_class import put_before
from zoom_iqa.policy.packed_layout import PackedLayout
from zoom_iqa.policy.rotation import rotated


def install(text_model: Any) -> None:
    """Let the layers of a language model attend so, and the last one make what layouts want, and no more."""
    for layer in text_model.layers[:-1]:
        put_before(layer.self_attn, _Attention)
    put_before(text_model.layers[-1], _LastLayer)


class _Attention(torch.nn.Module):
    """Stands before an attention's class, whose modules it calls: adapters and checkpointing work unchanged."""

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Any:
        """Attended hidden states (1, T, H), and None for weights; without a layout as transformers has it."""
        layout: PackedLayout | None = kwargs.get("layout")
        if layout is None:
            return super().forward(hidden_states, **kwargs)
        rotation = kwargs["position_embeddings"]
        attended_TH = _attended(self, hidden_states[0], hidden_states[0], (rotation, rotation), layout)
        return attended_TH[None], None


class _LastLayer(torch.nn.Module):
    """Stands before a decoder layer's class, whose modules it calls: adapters and checkpointing work unchanged."""

    input_layernorm: Any
    self_attn: Any
    post_attention_layernorm: Any
    mlp: Any

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Hidden states (1, W, H); without a layout as transformers has it."""
        layout: PackedLayout | None = kwargs.get("layout")
        if layout is None:
            whole: Tensor = super().forward(hidden_states, *args, **kwargs)
            return whole
        wanted_W = layout.wanted_W.to(hidden_states.device)
        rotation = kwargs["position_embeddings"]
        wanted_rotation = tuple(x.index_select(1, wanted_W) for x in rotation)
        normed_TH = self.input_layernorm(hidden_states)[0]
        attended_WH = _attended(
            self.self_attn, normed_TH.index_select(0, wanted_W), normed_TH, (wanted_rotation, rotation), layout
        )
        hidden_1WH = hidden_states.index_select(1, wanted_W) + attended_WH
        hidden_1WH = hidden_1WH + self.mlp(self.post_attention_layernorm(hidden_1WH))
        return hidden_1WH


def _attended(
    attention: Any, asking_WH: Tensor, normed_TH: Tensor, rotations: tuple[Any, Any], layout: PackedLayout
) -> Tensor:
    """As ``Qwen2_5_VLAttention.forward`` attends, with queries of some rows; ``rotations`` are theirs and of all."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

    def heads(x_TH: Tensor) -> Tensor:
        return x_TH.unflatten(-1, (-1, attention.head_dim)).transpose(0, 1)[None]

    q_1HWD = rotated(heads(attention.q_proj(asking_WH)), rotations[0])
    k_1JTD, v_1JTD = rotated(heads(attention.k_proj(normed_TH)), rotations[1]), heads(attention.v_proj(normed_TH))
    interface = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    out_1WHD, _ = interface(attention, q_1HWD, k_1JTD, v_1JTD, None, scaling=attention.scaling, layout=layout)
    attended_WH: Tensor = attention.o_proj(out_1WHD[0].flatten(1))
    return attended_WH

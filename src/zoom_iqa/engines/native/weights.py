"""The language model's weights for the decode loop: q, k, v in one matrix, gate and up in one, adapters added.

Legend: H hidden width, Q query + key + value width, A query width, M MLP width, V vocabulary, F half a head's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.lora import effective_weight


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One decoder layer. The softmax scale is part of the query rows; norms are as ``decode.rms_norm`` wants them."""

    norm_H: Tensor
    qkv_QH: Tensor
    qkv_bias_Q: Tensor
    out_HA: Tensor
    mlp_norm_H: Tensor
    gate_up_MH: Tensor
    down_HM: Tensor


@dataclass(frozen=True, eq=False)
class DecoderWeights:
    """Weights of a decode step. ``frequencies_F`` turn positions into rotary angles, ``rotary_gain`` scales them."""

    layers: tuple[LayerWeights, ...]
    embedding_VH: Tensor
    norm_H: Tensor
    root_eps: Tensor
    query_heads: int
    key_heads: int
    head_width: int
    frequencies_F: Tensor
    rotary_gain: float


@torch.no_grad()
def read_weights(model: Any) -> DecoderWeights:
    """Copy and fuse; must be repeated when the weights change.

    Raises:
        PolicyError: the model does something the decode loop does not.
    """
    text = model.model.language_model
    config = text.config
    rope, kinds = text.rotary_emb.rope_type, set(config.layer_types)
    if config.hidden_act != "silu" or "dynamic" in rope or kinds != {"full_attention"}:
        raise PolicyError(
            f"hidden_act={config.hidden_act}, rope_type={rope}, layer_types={sorted(kinds)}: the native engine knows "
            "silu, fixed rotary frequencies and full attention; use rollout=transformers"
        )
    head_width = config.hidden_size // config.num_attention_heads
    return DecoderWeights(
        layers=tuple(_layer(layer, head_width**-0.5) for layer in text.layers),
        embedding_VH=model.get_input_embeddings().weight.detach(),
        norm_H=_gain(text.norm),
        root_eps=torch.tensor((config.hidden_size * config.rms_norm_eps) ** 0.5, device=text.norm.weight.device),
        query_heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        head_width=head_width,
        frequencies_F=text.rotary_emb.inv_freq.float(),
        rotary_gain=text.rotary_emb.attention_scaling,
    )


def _layer(layer: Any, scale: float) -> LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    factors = (scale, 1.0, 1.0)
    return LayerWeights(
        norm_H=_gain(layer.input_layernorm),
        qkv_QH=torch.cat([effective_weight(p) * factor for p, factor in zip(projections, factors, strict=True)]),
        qkv_bias_Q=torch.cat([p.bias * factor for p, factor in zip(projections, factors, strict=True)]),
        out_HA=effective_weight(attention.o_proj),
        mlp_norm_H=_gain(layer.post_attention_layernorm),
        gate_up_MH=torch.cat([effective_weight(mlp.gate_proj), effective_weight(mlp.up_proj)]),
        down_HM=effective_weight(mlp.down_proj),
    )


def _gain(norm: Any) -> Tensor:
    gain: Tensor = norm.weight * len(norm.weight) ** 0.5
    return gain

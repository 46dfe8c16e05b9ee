"""The language model's weights for the decode loop: q, k, v in one matrix, gate and up in one.

Adapters are added to float32 weights. In 16 bits they stay beside them: rounded into the weights a small one is lost,
and the sampler would not see what was learned.

Legend: H hidden width, V vocabulary, F half a head's width, I and O input and output width of a projection, R rank of
an adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.lora import base_weight, effective_weight, low_rank_part


@dataclass(frozen=True, eq=False)
class Projection:
    """Linear layers of one input side by side; with ``down_RI`` the weights of adapters stand beside theirs."""

    weight: Tensor
    bias_O: Tensor | None
    down_RI: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs (rows, O) of inputs (rows, I)."""
        if self.down_RI is None:
            return F.linear(x, self.weight, self.bias_O)
        return F.linear(torch.cat((x, F.linear(x, self.down_RI)), -1), self.weight, self.bias_O)


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One decoder layer. The softmax scale is part of the query rows; norms are as ``decode.rms_norm`` wants them."""

    norm_H: Tensor
    qkv: Projection
    out: Projection
    mlp_norm_H: Tensor
    gate_up: Projection
    down: Projection


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
    return LayerWeights(
        norm_H=_gain(layer.input_layernorm),
        qkv=_projection(attention.q_proj, attention.k_proj, attention.v_proj, factors=(scale, 1.0, 1.0)),
        out=_projection(attention.o_proj, factors=(1.0,)),
        mlp_norm_H=_gain(layer.post_attention_layernorm),
        gate_up=_projection(mlp.gate_proj, mlp.up_proj, factors=(1.0, 1.0)),
        down=_projection(mlp.down_proj, factors=(1.0,)),
    )


def _projection(*layers: Any, factors: Sequence[float]) -> Projection:
    """Layers below one another, each times its factor."""
    parts = [low_rank_part(layer) for layer in layers]
    beside = base_weight(layers[0]).dtype != torch.float32 and any(part is not None for part in parts)
    read = base_weight if beside else effective_weight
    weights = [_times(read(layer), factor) for layer, factor in zip(layers, factors, strict=True)]
    biases = [layer.bias * factor for layer, factor in zip(layers, factors, strict=True) if layer.bias is not None]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    if beside:
        up_OR = _beside_one_another(parts, [len(weight) for weight in weights], factors)
        weight = torch.cat((weight, up_OR.to(weight.dtype)), 1)
    return Projection(
        weight=weight,
        bias_O=torch.cat(biases) if biases else None,
        down_RI=torch.cat([part[0] for part in parts if part is not None]).to(weight.dtype) if beside else None,
    )


def _times(weight: Tensor, factor: float) -> Tensor:
    return weight if factor == 1.0 else weight * factor


def _beside_one_another(
    parts: Sequence[tuple[Tensor, Tensor] | None], widths: Sequence[int], factors: Sequence[float]
) -> Tensor:
    """The second factors of several adapters as one matrix: each in its layer's rows and its own columns."""
    first = next(part for part in parts if part is not None)[1]
    ranks = [0 if part is None else part[1].shape[1] for part in parts]
    up_OR = first.new_zeros(sum(widths), sum(ranks))
    row = column = 0
    for part, width, rank, factor in zip(parts, widths, ranks, factors, strict=True):
        if part is not None:
            up_OR[row : row + width, column : column + rank] = part[1] * factor
        row, column = row + width, column + rank
    return up_OR


def _gain(norm: Any) -> Tensor:
    gain: Tensor = norm.weight * len(norm.weight) ** 0.5
    return gain

"""Adapters as decoding sees them: in float32 in the weights, in 16 bits beside them, however small they are."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from zoom_iqa.engines.native.weights import Projection, read_weights
from zoom_iqa.policy.lora import LoraSettings, add_adapters, effective_weight
from zoom_iqa.policy.policy import Policy

TARGETS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
SHARE = 1e-4
"""Norm of an adapter's part, of that of the weight it is added to."""


def adapted(policy: Policy, dtype: torch.dtype, share: float) -> Policy:
    twin = copy.copy(policy)
    twin.model = copy.deepcopy(policy.model).to(dtype)
    add_adapters(twin.model, LoraSettings(rank=4, alpha=8, targets=TARGETS))
    generator = torch.Generator().manual_seed(0)
    for layer in twin.model.modules():
        if hasattr(layer, "lora_B"):
            down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            for part in (down, up):
                part.data = torch.randn(part.shape, generator=generator).to(dtype)
            found = (up.float() @ down.float() * 2).norm() / layer.get_base_layer().weight.float().norm()
            up.data = (up.float() * (share / found)).to(dtype)
    return twin


def projections(policy: Policy) -> list[Projection]:
    return [p for layer in read_weights(policy.model).layers for p in (layer.qkv, layer.out, layer.gate_up, layer.down)]


def seen(given: Projection, plain: Projection, exact: Tensor) -> float:
    """The share of an exact change of outputs that is in what two projections make of many inputs."""
    inputs = torch.randn(
        4096,
        (given.weight if given.down_RI is None else given.down_RI).shape[1],
        generator=torch.Generator().manual_seed(1),
    )
    inputs = inputs.to(given.weight.dtype)
    change = given(inputs).float() - plain(inputs).float()
    expected = inputs.float() @ exact.T
    return float((change * expected).sum() / expected.square().sum())


@torch.no_grad()
def test_a_small_adapter_is_sampled_from_in_sixteen_bits(random_policy: Policy) -> None:
    with_part, without = (adapted(random_policy, torch.bfloat16, share) for share in (SHARE, 0.0))
    exact = adapted(random_policy, torch.float32, SHARE)
    for given, plain, whole, base in zip(
        projections(with_part), projections(without), projections(exact),
        projections(adapted(random_policy, torch.float32, 0.0)), strict=True,
    ):  # fmt: skip
        assert seen(given, plain, whole.weight - base.weight) == pytest.approx(1, abs=0.1)


@torch.no_grad()
def test_merged_in_sixteen_bits_it_would_be_lost(random_policy: Policy) -> None:
    """Why it is not merged: the weights' rounding swallows it."""
    policy = adapted(random_policy, torch.bfloat16, SHARE)
    exact = adapted(random_policy, torch.float32, SHARE)
    name = "model.language_model.layers.0.mlp.up_proj"
    layer, whole = policy.model.get_submodule(name), exact.model.get_submodule(name)
    merged = Projection(effective_weight(layer), None, None)
    plain = Projection(layer.get_base_layer().weight, None, None)
    assert seen(merged, plain, effective_weight(whole) - whole.get_base_layer().weight) < 0.3


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_projections_are_the_layers_they_stand_for(dtype: torch.dtype, random_policy: Policy) -> None:
    policy = adapted(random_policy, dtype, 0.5)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for layer, read in zip(policy.model.model.language_model.layers, read_weights(policy.model).layers, strict=True):
        attention, mlp = layer.self_attn, layer.mlp
        inputs = torch.randn(8, attention.q_proj.in_features, generator=torch.Generator().manual_seed(2)).to(dtype)
        scale = attention.head_dim**-0.5
        expected = torch.cat([attention.q_proj(inputs) * scale, attention.k_proj(inputs), attention.v_proj(inputs)], 1)
        torch.testing.assert_close(read.qkv(inputs), expected, rtol=tolerance, atol=tolerance)
        expected = torch.cat([mlp.gate_proj(inputs), mlp.up_proj(inputs)], 1)
        torch.testing.assert_close(read.gate_up(inputs), expected, rtol=tolerance, atol=tolerance)

"""Adapters: what they train, that the base is still there, and that an export holds their part."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from support.plain_policy import plain_policy
from zoom_iqa.base.errors import ConfigError, PolicyError
from zoom_iqa.policy.lora import (
    LoraSettings,
    adapter_weights,
    add_adapters,
    effective_weight,
    has_adapters,
    swapped_adapters,
)
from zoom_iqa.policy.policy import Policy

IDS = torch.arange(20, 50)[None]


@pytest.fixture
def adapted(random_policy: Policy) -> Policy:
    """A copy of the random policy with adapters that do something."""
    policy = copy.copy(random_policy)
    policy.model = copy.deepcopy(random_policy.model)
    add_adapters(policy.model, LoraSettings(rank=4, alpha=8, targets=["q_proj", "down_proj"]))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return policy


@torch.no_grad()
def _logits(policy: Policy) -> torch.Tensor:
    return policy.model(input_ids=IDS).logits


def test_only_adapters_are_trained(adapted: Policy):
    trained = [name for name, parameter in adapted.model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".lora_" in name and "language_model" in name for name in trained)
    assert len(trained) == 2 * 2 * 2  # A and B of two targets in two layers


def test_with_zeros_swapped_in_they_give_the_base_back(adapted: Policy, random_policy: Policy):
    assert has_adapters(adapted.model)
    assert not has_adapters(random_policy.model)
    before = _logits(adapted)
    zeros = {name: torch.zeros_like(weight) for name, weight in adapter_weights(adapted.model).items()}
    with swapped_adapters(adapted.model, zeros):
        assert torch.equal(_logits(adapted), _logits(random_policy))
    assert torch.equal(_logits(adapted), before)
    assert (before - _logits(random_policy)).abs().max() > 0.1


def test_the_effective_weight_is_base_plus_scaled_product(adapted: Policy):
    layer = adapted.model.model.language_model.layers[0].self_attn.q_proj
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(effective_weight(layer), layer.base_layer.weight + 8 / 4 * product)


def test_an_export_is_a_plain_policy_that_acts_the_same(adapted: Policy, tmp_path: Path):
    adapted.save(tmp_path / "policy")
    loaded = plain_policy(tmp_path / "policy")
    assert not has_adapters(loaded.model)
    torch.testing.assert_close(_logits(loaded), _logits(adapted), atol=1e-4, rtol=1e-4)
    with pytest.raises(PolicyError, match="exists"):
        adapted.save(tmp_path / "policy")


def test_wrong_settings_are_named(random_policy: Policy):
    with pytest.raises(ConfigError, match=r"lora.rank=0"):
        LoraSettings(rank=0, alpha=1, targets=["q_proj"])
    with pytest.raises(ConfigError, match=r"lora.alpha=0 must be a number above 0"):
        LoraSettings(rank=1, alpha=0, targets=["q_proj"])
    with pytest.raises(
        ConfigError, match="no block has a layer k_porj; choose of down_proj, gate_proj, k_proj, o_proj"
    ):
        add_adapters(copy.deepcopy(random_policy.model), LoraSettings(rank=2, alpha=2, targets=["q_proj", "k_porj"]))


@torch.no_grad()
def test_a_small_adapter_is_seen_in_sixteen_bits(random_policy: Policy):
    """Over many inputs its whole effect passes, although each output is rounded."""
    model = copy.deepcopy(random_policy.model).bfloat16()
    add_adapters(model, LoraSettings(rank=4, alpha=8, targets=["up_proj"]))
    layer = model.get_submodule("model.language_model.layers.0.mlp.up_proj")
    base, down, up = layer.get_base_layer(), layer.lora_A["default"].weight, layer.lora_B["default"].weight
    generator = torch.Generator().manual_seed(0)
    up.data = torch.randn(up.shape, generator=generator).bfloat16()
    part = up.float() @ down.float() * 2
    up.data = (up.float() * 1e-4 * base.weight.float().norm() / part.norm()).bfloat16()
    exact = up.float() @ down.float() * 2
    inputs = torch.randn(8192, base.in_features, generator=generator).bfloat16()
    change, expected = (layer(inputs) - base(inputs)).float(), inputs.float() @ exact.T
    assert (change * expected).sum() / expected.square().sum() == pytest.approx(1, abs=0.1)


def test_gradients_of_the_one_product():
    from zoom_iqa.policy.adapted_linear import OneProduct

    generator = torch.Generator().manual_seed(0)
    x, weight, bias, down, up = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 3, 4), (5, 4), (5,), (2, 4), (5, 2))
    )
    torch.testing.assert_close(OneProduct.apply(x, weight, bias, down, up), x @ (weight + up @ down).T + bias)
    trained = [tensor.requires_grad_() for tensor in (x, down, up)]
    assert torch.autograd.gradcheck(lambda x, down, up: OneProduct.apply(x, weight, bias, down, up), trained)

"""Patches embedded by a matrix product against the convolution that transformers makes of them."""

from __future__ import annotations

import copy

import torch
from peft import LoraConfig, inject_adapter_in_model

from support.random_policy import build_random_policy, noise_image
from zoom_iqa.base.types import ImagePart
from zoom_iqa.policy.patch_embedding import install
from zoom_iqa.policy.vision_cache import encode_images


def test_output_and_gradient_equal_the_convolution() -> None:
    policy = build_random_policy()
    embedding = policy.model.model.visual.patch_embed
    pixels = policy.images(ImagePart(noise_image(0, 64, 48), "a")).pixels_PD
    found = embedding(pixels)
    proj = embedding.proj
    channels, (frames, height, width) = proj.in_channels, proj.kernel_size
    expected = proj(pixels.view(-1, channels, frames, height, width)).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (grad,) = torch.autograd.grad((found * upstream).sum(), proj.weight)
    (expected_grad,) = torch.autograd.grad((expected * upstream).sum(), proj.weight)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-4)


def test_an_adapter_around_the_convolution_counts() -> None:
    policy = build_random_policy()
    tower = policy.model.model.visual
    image = policy.images(ImagePart(noise_image(0, 64, 48), "a"))
    (before,) = encode_images(policy.model, [image])
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["patch_embed.proj"], init_lora_weights=False), tower)
    (after,) = encode_images(policy.model, [image])
    assert not torch.allclose(before, after, atol=1e-3)


def test_it_is_installed_once_and_copied_with_the_model() -> None:
    policy = build_random_policy()
    tower = policy.model.model.visual
    kind = type(tower.patch_embed)
    install(tower)
    assert type(tower.patch_embed) is kind
    assert type(copy.deepcopy(policy.model).model.visual.patch_embed) is kind

"""A random Qwen2.5-VL of 0.1 M parameters with a small tokenizer, and prompts for it: enough for exactness tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from zoom_iqa.base.types import ImagePart, Message, TextPart
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.build import TextShape, VisionShape, build_tiny_policy
from zoom_iqa.tiny_policy.tokenizer import train_tokenizer

TEXTS = [
    "You are an image quality expert. Rate the image and decide if you need a crop for closer inspection.",
    '<think>Quality: soft blur.</think><answer>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "rating": 3.52, "tool": "crop"}',
    "</answer> final exposure contrast sharp dark bright colour",
]


def build_random_policy(*, seed: int = 0) -> Policy:
    """Weights of attention and MLPs are scaled up, so that the next token depends on the context and is not uniform."""
    policy = build_tiny_policy(
        vision=VisionShape(
            width=32,
            depth=2,
            heads=2,
            mlp_width=48,
            patch_size=8,
            window_size=32,
            full_attention=(1,),
            min_pixels=16 * 16,
            max_pixels=128 * 128,
        ),
        text=TextShape(width=64, depth=2, heads=4, key_value_heads=2, mlp_width=96, max_positions=2048),
        tokenizer=train_tokenizer(TEXTS * 4, vocab_size=320),
        seed=seed,
        image_cache=64,
    )
    for layer in policy.model.model.language_model.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.o_proj, layer.mlp.down_proj):
            linear.weight.data *= 12
    policy.model.model.language_model.norm.weight.data *= 2
    policy.model.get_input_embeddings().weight.data *= 5
    policy.model.eval()
    return policy


def noise_image(seed: int, width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def turn1_prompt(seed: int, *, width: int = 64, height: int = 48, words: int = 5) -> tuple[Message, ...]:
    text = " ".join(TEXTS[0].split()[:words])
    return (
        Message("user", (TextPart(text), ImagePart(noise_image(seed, width, height), f"image{seed}-{width}x{height}"))),
    )


def turn2_prompt(seed: int) -> tuple[Message, ...]:
    """Question, answer, then two images of different sizes: the layout of a second turn."""
    image = ImagePart(noise_image(seed, 64, 48), f"image{seed}-64x48")
    crop = ImagePart(noise_image(seed + 1000, 48, 96), f"image{seed}-64x48@crop")
    return (
        Message("user", (TextPart("Rate the image."),)),
        Message("assistant", (TextPart(TEXTS[1] + "</answer>"),)),
        Message("user", (TextPart("Look."), TextPart("Original image: "), image, TextPart("Cropped Image: "), crop)),
    )


def chain_prompt(seed: int, answers: Sequence[str]) -> tuple[Message, ...]:
    """A conversation that grows: turn 1, then after each answer another crop."""
    messages = [*turn1_prompt(seed, words=19)]
    for turn, answer in enumerate(answers):
        crop = ImagePart(noise_image(10 * seed + turn + 500, 48, 48), f"image{seed}@{turn}")
        messages += [
            Message("assistant", (TextPart(answer),)),
            Message("user", (TextPart("Cropped Image: "), crop, TextPart("Go on."))),
        ]
    return tuple(messages)

"""A Qwen2.5-VL of a few million parameters: class, layout and tokens of the real one, small enough for a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from zoom_iqa.policy.policy import Policy


@dataclass(frozen=True, kw_only=True)
class VisionShape:
    """Size of the vision tower.

    A patch is ``patch_size`` pixels wide, 2 x 2 patches make one language-model token; attention runs in windows of
    ``window_size`` pixels, except in the ``full_attention`` blocks. The tower sees ``min_pixels``..``max_pixels``.
    """

    width: int
    depth: int
    heads: int
    mlp_width: int
    patch_size: int
    window_size: int
    full_attention: tuple[int, ...]
    min_pixels: int
    max_pixels: int


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Size of the language model; with ``key_value_heads`` below ``heads``, heads share keys and values."""

    width: int
    depth: int
    heads: int
    key_value_heads: int
    mlp_width: int
    max_positions: int


def build_tiny_policy(*, vision: VisionShape, text: TextShape, tokenizer: Any, seed: int, image_cache: int) -> Policy:
    """A policy with random float32 weights drawn from ``seed``; embeddings and output head are tied."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = tokenizer.get_vocab()
    config = Qwen2_5_VLConfig(
        text_config=_text_config(text, tokenizer),
        vision_config=_vision_config(vision, text.width),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.float32)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return Policy(
        model=model, tokenizer=tokenizer, image_processor=tiny_image_processor(vision), image_cache=image_cache
    )


def tiny_image_processor(vision: VisionShape) -> Any:
    """The image processor that belongs to a tower of this shape; stills are not doubled in time."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": vision.min_pixels, "longest_edge": vision.max_pixels},
        patch_size=vision.patch_size,
        temporal_patch_size=1,
        merge_size=2,
    )


def _text_config(text: TextShape, tokenizer: Any) -> dict[str, Any]:
    half_head = text.width // text.heads // 2
    time = half_head // 4  # M-RoPE splits half of a head between time, height and width as 1 : 1.5 : 1.5
    height = (half_head - time) // 2
    return {
        "hidden_size": text.width,
        "num_hidden_layers": text.depth,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.key_value_heads,
        "intermediate_size": text.mlp_width,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": text.max_positions,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [time, height, half_head - time - height],
        },
    }


def _vision_config(vision: VisionShape, out_width: int) -> dict[str, Any]:
    return {
        "hidden_size": vision.width,
        "depth": vision.depth,
        "num_heads": vision.heads,
        "intermediate_size": vision.mlp_width,
        "out_hidden_size": out_width,
        "patch_size": vision.patch_size,
        "temporal_patch_size": 1,
        "spatial_merge_size": 2,
        "window_size": vision.window_size,
        "fullatt_block_indexes": list(vision.full_attention),
    }

"""The models of the benchmark, with random weights: a tiny one for a CPU, and the shapes of Qwen2.5-VL 3B and 7B."""

from __future__ import annotations

from typing import Any

import torch

from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.build import TextShape, VisionShape, build_tiny_policy
from zoom_iqa.tiny_policy.tokenizer import train_tokenizer

VOCABULARY = "you are an image quality expert rate the image and decide if you need a crop for a closer look"
TRUE_SHAPES: dict[str, dict[str, Any]] = {
    "7b": {
        "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False,
    },
    "3b": {
        "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
        "intermediate_size": 11008, "vocab_size": 151936, "tie_word_embeddings": True,
    },
}  # fmt: skip


def build_policy(shape: str, vocab: int) -> Policy:
    """``shape`` is tiny, 3b or 7b; ``vocab`` pads the tiny one's vocabulary (0: as trained)."""
    return _tiny(vocab) if shape == "tiny" else _true(shape)


def _tokenizer() -> Any:
    return train_tokenizer([VOCABULARY] * 4, vocab_size=400)


def _tiny(vocab: int) -> Policy:
    """1 M parameters: 4 + 4 layers, width 128 (text) and 64 (vision), patches of 14 px as in Qwen2.5-VL."""
    policy = build_tiny_policy(
        vision=VisionShape(
            width=64, depth=4, heads=4, mlp_width=128, patch_size=14, window_size=112, full_attention=(1, 3),
            min_pixels=28 * 28, max_pixels=2048 * 2048,
        ),
        text=TextShape(width=128, depth=4, heads=4, key_value_heads=2, mlp_width=256, max_positions=8192),
        tokenizer=_tokenizer(),
        seed=0,
        image_cache=64,
    )  # fmt: skip
    if vocab <= len(policy.tokenizer):
        return policy
    policy.model.resize_token_embeddings(vocab, mean_resizing=False)
    return Policy(
        model=policy.model, tokenizer=policy.tokenizer, image_processor=policy.image_processor, image_cache=64
    )


def _true(shape: str) -> Policy:
    """bfloat16 on the GPU where there is one; the small tokenizer leaves most of the vocabulary unused but computed."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer()
    ids = tokenizer.get_vocab()
    text = dict(TRUE_SHAPES[shape])
    tied = text.pop("tie_word_embeddings")
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    config = Qwen2_5_VLConfig(
        text_config={
            **text, "tie_word_embeddings": tied, "rms_norm_eps": 1e-6, "rope_parameters": rope, "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": text["hidden_size"]},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=tied,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 2048 * 2048})
    return Policy(model=model, tokenizer=tokenizer, image_processor=processor, image_cache=64)

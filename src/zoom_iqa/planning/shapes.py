"""The sizes of a Qwen2.5-VL: parameters, bytes of keys and values, products of a token. Arithmetic alone, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoom_iqa.base.errors import ConfigError

COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class PolicyShape:
    """Widths and depths of the language model and the vision tower, as config.json has them."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    mlp_width: int
    vocabulary: int
    tied: bool
    tower_width: int = 1280
    tower_layers: int = 32
    tower_mlp_width: int = 3420
    patch: int = 14
    frames: int = 2
    merge: int = 2

    @property
    def key_value_width(self) -> int:
        """The width of a token's keys, and of its values."""
        return self.width // self.heads * self.key_value_heads

    @property
    def block_weights(self) -> int:
        """Weights of the matrices of all blocks, through which every token passes."""
        attention = 2 * self.width * self.width + 2 * self.width * self.key_value_width
        return self.layers * (attention + 3 * self.width * self.mlp_width)

    @property
    def fused_weights(self) -> int:
        """Those of queries, keys, values, gates and ups, which the decode loop copies side by side."""
        attention = self.width * self.width + 2 * self.width * self.key_value_width
        return self.layers * (attention + 2 * self.width * self.mlp_width)

    @property
    def head_weights(self) -> int:
        """Weights of the output head; the embedding has as many."""
        return self.width * self.vocabulary

    @property
    def text_parameters(self) -> int:
        """Parameters of the language model: matrices, biases of queries, keys and values, norms, embedding, head."""
        small = self.layers * (self.width + 2 * self.key_value_width + 2 * self.width) + self.width
        return self.block_weights + small + self.head_weights * (1 if self.tied else 2)

    @property
    def tower_parameters(self) -> int:
        """Parameters of the vision tower and its merger."""
        wide, mlp = self.tower_width, self.tower_mlp_width
        block = 4 * wide * wide + 4 * wide + 3 * wide * mlp + 2 * mlp + wide + 2 * wide
        merged = wide * self.merge**2
        merger = wide + merged * merged + merged + merged * self.width + self.width
        return COLOURS * self.frames * self.patch**2 * wide + self.tower_layers * block + merger

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.text_parameters + self.tower_parameters

    def adapter_parameters(self, *, rank: int, targets: Sequence[str]) -> int:
        """Parameters of low-rank adapters on these layers of every block.

        Raises:
            ConfigError: the blocks have no layer of a name.
        """
        wide, narrow, mlp = self.width, self.key_value_width, self.mlp_width
        sides = {
            "q_proj": wide + wide, "k_proj": wide + narrow, "v_proj": wide + narrow, "o_proj": wide + wide,
            "gate_proj": wide + mlp, "up_proj": wide + mlp, "down_proj": mlp + wide,
        }  # fmt: skip
        for target in targets:
            if target not in sides:
                raise ConfigError(f"lora.targets: {target} is no layer of a block; valid: {', '.join(sides)}")
        return self.layers * rank * sum(sides[target] for target in targets)

    def key_value_bytes(self, number_bytes: int) -> int:
        """Bytes of keys and values of one token in all layers."""
        return 2 * self.layers * self.key_value_width * number_bytes

    def image_tokens(self, pixels: int) -> int:
        """Tokens of an image of this area."""
        return pixels // (self.patch * self.merge) ** 2


SHAPE_7B = PolicyShape(
    width=3584, layers=28, heads=28, key_value_heads=4, mlp_width=18944, vocabulary=152064, tied=False
)
SHAPE_3B = PolicyShape(
    width=2048, layers=36, heads=16, key_value_heads=2, mlp_width=11008, vocabulary=151936, tied=True
)
NAMED = {"Qwen/Qwen2.5-VL-7B-Instruct": SHAPE_7B, "Qwen/Qwen2.5-VL-3B-Instruct": SHAPE_3B}


def shape_of(config: Mapping[str, Any]) -> PolicyShape:
    """The shape that a policy's config.json describes.

    Raises:
        ConfigError: it lacks a size.
    """
    text, tower = config.get("text_config", config), config.get("vision_config", {})
    try:
        return PolicyShape(
            width=text["hidden_size"],
            layers=text["num_hidden_layers"],
            heads=text["num_attention_heads"],
            key_value_heads=text["num_key_value_heads"],
            mlp_width=text["intermediate_size"],
            vocabulary=text["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
            tower_width=tower["hidden_size"],
            tower_layers=tower["depth"],
            tower_mlp_width=tower["intermediate_size"],
            patch=tower.get("patch_size", 14),
            frames=tower.get("temporal_patch_size", 2),
            merge=tower.get("spatial_merge_size", 2),
        )
    except KeyError as error:
        raise ConfigError(f"config.json has no {error.args[0]}; name the folder of a Qwen2.5-VL") from error

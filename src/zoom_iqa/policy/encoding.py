"""Chat messages -> token ids, pixel tensors and M-RoPE positions of one prompt.

Legend: L prompt tokens, P image patches before merging, D patch length (channels * temporal * patch * patch).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.types import ImagePart, Message, TextPart

IMAGE_PAD = "<|image_pad|>"


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """One preprocessed image: ``pixels_PD`` as the vision tower takes them, ``grid`` = (t, h, w) in patches."""

    key: str
    pixels_PD: Tensor
    grid: tuple[int, int, int]

    def merged_tokens(self, merge_size: int) -> int:
        """How many language-model tokens the image takes."""
        t, h, w = self.grid
        return t * h * w // merge_size**2


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """One prompt ready for the model, on the CPU.

    ``positions_3L`` are the M-RoPE positions; a completion continues at ``next_position`` on all three axes.
    """

    ids_L: Tensor
    positions_3L: Tensor
    next_position: int
    images: tuple[EncodedImage, ...]


class ImageEncoder:
    """Preprocesses images with the policy's PIL image processor; keeps the last ``capacity`` by key.

    ``clear`` must be called when keys may come to mean other pixels (between rollouts of augmented images).
    """

    def __init__(self, *, processor: Any, capacity: int) -> None:
        self._processor = processor
        self._capacity = capacity
        self._kept: OrderedDict[str, EncodedImage] = OrderedDict()

    def __call__(self, part: ImagePart) -> EncodedImage:
        """Preprocess one image, or return the kept result for its key."""
        if part.key in self._kept:
            self._kept.move_to_end(part.key)
            return self._kept[part.key]
        out = self._processor(images=[part.image], return_tensors="pt")
        t, h, w = (int(n) for n in out["image_grid_thw"][0])
        encoded = EncodedImage(part.key, out["pixel_values"], (t, h, w))
        self._kept[part.key] = encoded
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return encoded

    def clear(self) -> None:
        """Forget every kept image."""
        self._kept.clear()


class PromptEncoder:
    """Renders messages with the tokenizer's chat template and expands each image placeholder to its tokens."""

    def __init__(self, *, tokenizer: Any, images: ImageEncoder, merge_size: int) -> None:
        self.tokenizer = tokenizer
        self.images = images
        self.merge_size = merge_size
        self.image_pad_id: int = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        specials = sorted(tokenizer.all_special_tokens, key=len, reverse=True)
        self._special = re.compile("|".join(re.escape(token) for token in specials))

    def __call__(self, messages: Sequence[Message]) -> EncodedPrompt:
        """Encode a prompt that ends where the assistant's answer begins.

        Special-token strings inside text parts are dropped: a model can spell ``<|image_pad|>`` letter by letter.
        Raises PolicyError when the template loses or adds an image placeholder.
        """
        parts = [part for message in messages for part in message.parts if isinstance(part, ImagePart)]
        images = tuple(self.images(part) for part in parts)
        text = self.tokenizer.apply_chat_template(
            [self._as_chat(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if ids.count(self.image_pad_id) != len(images):
            raise PolicyError(
                f"chat template: {ids.count(self.image_pad_id)} image placeholders for {len(images)} images; "
                "use a Qwen2.5-VL chat template"
            )
        return self._expand(ids, images)

    def completion_ids(self, text: str, end_id: int) -> list[int]:
        """Token ids of an answer as the model would have produced it, end token included."""
        return [*self.tokenizer(self._plain(text), add_special_tokens=False)["input_ids"], end_id]

    def _plain(self, text: str) -> str:
        return self._special.sub("", text)

    def _as_chat(self, message: Message) -> dict[str, Any]:
        content = [
            {"type": "text", "text": self._plain(part.text)} if isinstance(part, TextPart) else {"type": "image"}
            for part in message.parts
        ]
        if message.role == "assistant":  # templates of the family print assistant content as a plain string
            return {"role": "assistant", "content": "".join(c.get("text", "") for c in content)}
        return {"role": message.role, "content": content}

    def _expand(self, ids: list[int], images: tuple[EncodedImage, ...]) -> EncodedPrompt:
        remaining = iter(images)
        out: list[int] = []
        columns: list[Tensor] = []
        position = 0
        for token in ids:
            if token != self.image_pad_id:
                out.append(token)
                columns.append(torch.full((3, 1), position))
                position += 1
                continue
            image = next(remaining)
            out.extend([token] * image.merged_tokens(self.merge_size))
            columns.append(image_positions(image.grid, position, self.merge_size))
            position += max(image.grid[1], image.grid[2]) // self.merge_size
        return EncodedPrompt(torch.tensor(out), torch.cat(columns, 1), position, images)


def image_positions(grid: tuple[int, int, int], start: int, merge_size: int) -> Tensor:
    """M-RoPE positions (3, merged tokens) of a still image that begins at ``start`` (Qwen2-VL, section 2.1)."""
    t, h, w = grid[0], grid[1] // merge_size, grid[2] // merge_size
    axes = torch.meshgrid(torch.arange(t), torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([axis.reshape(-1) for axis in axes]) + start

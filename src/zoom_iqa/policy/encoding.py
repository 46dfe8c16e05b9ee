"""Chat messages -> token ids, pixel tensors and M-RoPE positions of one prompt.

Legend: L prompt tokens, C completion tokens, P image patches before merging, D patch length (channels * temporal *
patch * patch).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from zoom_iqa.base.errors import ImageError, PolicyError
from zoom_iqa.base.types import ImagePart, Message, TextPart
from zoom_iqa.tasks.tools.crop import why_unviewable

IMAGE_PAD = "<|image_pad|>"
_HALVES = re.compile("[\ud800-\udfff]")  # JSON can spell half a character, which no tokenizer takes
_PLACE = re.compile("\ue000([0-9]+)\ue001")  # stands for a text while the template is rendered


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
    ``image_spans`` are the first token of each image and the one after its last.
    """

    ids_L: Tensor
    positions_3L: Tensor
    next_position: int
    images: tuple[EncodedImage, ...]
    image_spans: tuple[tuple[int, int], ...]

    def continued(self, ids: Sequence[int]) -> EncodedPrompt:
        """The prompt and text tokens after it."""
        positions_C = self.next_position + torch.arange(len(ids))
        return replace(
            self,
            ids_L=torch.cat([self.ids_L, torch.tensor(ids, dtype=torch.long)]),
            positions_3L=torch.cat([self.positions_3L, positions_C.expand(3, -1)], 1),
            next_position=self.next_position + len(ids),
        )


class ImageEncoder:
    """Preprocesses images with the policy's PIL image processor; keeps the last ``capacity`` by their content's key."""

    def __init__(self, *, processor: Any, capacity: int) -> None:
        self._processor = processor
        self._capacity = capacity
        self._kept: OrderedDict[str, EncodedImage] = OrderedDict()

    def __call__(self, part: ImagePart) -> EncodedImage:
        """Preprocess one image, or return the kept result for its key.

        Raises:
            ImageError: its sides are too unequal for the vision tower.
        """
        if part.key in self._kept:
            self._kept.move_to_end(part.key)
            return self._kept[part.key]
        unviewable = why_unviewable([part])
        if unviewable is not None:
            raise ImageError(unviewable)
        out = self._processor(images=[part.image], return_tensors="pt")
        t, h, w = (int(n) for n in out["image_grid_thw"][0])
        encoded = EncodedImage(part.key, out["pixel_values"], (t, h, w))
        self._kept[part.key] = encoded
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return encoded


class PromptEncoder:
    """Renders messages with the tokenizer's chat template and expands each image placeholder to its tokens.

    A text is text whatever it spells: only the template writes special tokens, and ``<|im_end|>`` in a text becomes the
    ids of its characters, which decode to it again.
    """

    def __init__(self, *, tokenizer: Any, images: ImageEncoder, merge_size: int) -> None:
        self.tokenizer = tokenizer
        self.images = images
        self.merge_size = merge_size
        self.image_pad_id: int = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        added = tokenizer.added_tokens_decoder.items()
        self._special_ids: dict[str, int] = {token.content: number for number, token in added if token.special}
        longest_first = sorted(self._special_ids, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def __call__(self, messages: Sequence[Message]) -> EncodedPrompt:
        """Encode a prompt that ends where the assistant's answer begins.

        Raises:
            PolicyError: the template loses, adds or reorders texts or image placeholders.
        """
        parts = [part for message in messages for part in message.parts if isinstance(part, ImagePart)]
        images = tuple(self.images(part) for part in parts)
        texts: list[str] = []
        ids = self._ids(self._rendered([_as_chat(message, texts) for message in messages], asks=True), texts)
        if ids.count(self.image_pad_id) != len(images):
            raise PolicyError(
                f"chat template: {ids.count(self.image_pad_id)} image placeholders for {len(images)} images; "
                "use a Qwen2.5-VL chat template"
            )
        return self._expand(ids, images)

    def check_template(self) -> None:
        """Pass a chat template that shows every text and asks for the assistant's answer at its end.

        Raises:
            PolicyError: it does not, or is no template: one whose file is cut off.
        """
        texts: list[str] = []
        parts = (TextPart("a"), TextPart("b"))
        messages = (Message("user", parts), Message("assistant", parts[:1]), Message("user", parts))
        chat = [_as_chat(message, texts) for message in messages]
        asking, telling = self._rendered(chat, asks=True), self._rendered(chat, asks=False)
        self._ids(asking, texts)
        if not asking.startswith(telling) or asking == telling or IMAGE_PAD in asking:
            raise PolicyError("chat template: it does not ask for an answer at its end; use a Qwen2.5-VL chat template")

    def completion_ids(self, text: str, end_id: int) -> list[int]:
        """Token ids of an answer as the model would have produced it, end token included."""
        return [*self._text_ids([text])[0], end_id]

    def _rendered(self, chat: list[dict[str, Any]], *, asks: bool) -> str:
        try:
            rendered: str = self.tokenizer.apply_chat_template(chat, add_generation_prompt=asks, tokenize=False)
        except (TemplateError, TypeError, ValueError) as error:
            raise PolicyError(
                f"chat template: it cannot be filled ({error}); use a Qwen2.5-VL chat template"
            ) from error
        return rendered

    def _ids(self, rendered: str, texts: Sequence[str]) -> list[int]:
        """Ids of a rendered template: its special tokens, and between them its words joined to the texts.

        They are joined before they are encoded, because a token may reach from a word of the template into a text.
        """
        pieces = _PLACE.split(rendered)  # template, number of a text, template, ...
        if pieces[1::2] != [str(number) for number in range(len(texts))]:
            raise PolicyError(
                f"chat template: it shows texts {', '.join(pieces[1::2]) or 'none'} of {len(texts)}, not each once and "
                "in order; use a Qwen2.5-VL chat template"
            )
        spans: list[str] = [""]  # text, special token, text, ...
        for template, text in zip(pieces[::2], [*texts, ""], strict=True):
            first, *rest = self._special.split(template)
            spans[-1] += first
            spans += rest
            spans[-1] += text
        ids = self._text_ids(spans[::2])
        for span, special in zip(ids, spans[1::2], strict=False):
            span.append(self._special_ids[special])
        return [token for span in ids for token in span]

    def _text_ids(self, texts: list[str]) -> list[list[int]]:
        whole = [_HALVES.sub("\ufffd", text) for text in texts]
        encoded: list[list[int]] = self.tokenizer(whole, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return encoded

    def _expand(self, ids: list[int], images: tuple[EncodedImage, ...]) -> EncodedPrompt:
        remaining = iter(images)
        out: list[int] = []
        columns: list[Tensor] = []
        spans: list[tuple[int, int]] = []
        position = 0
        for token in ids:
            if token != self.image_pad_id:
                out.append(token)
                columns.append(torch.full((3, 1), position))
                position += 1
                continue
            image = next(remaining)
            spans.append((len(out), len(out) + image.merged_tokens(self.merge_size)))
            out.extend([token] * image.merged_tokens(self.merge_size))
            columns.append(image_positions(image.grid, position, self.merge_size))
            position += max(image.grid[1], image.grid[2]) // self.merge_size
        return EncodedPrompt(torch.tensor(out), torch.cat(columns, 1), position, images, tuple(spans))


def _as_chat(message: Message, texts: list[str]) -> dict[str, Any]:
    """A message as templates take it, its texts moved to the end of ``texts`` and their places marked."""

    def place(text: str) -> str:
        texts.append(text)
        return f"\ue000{len(texts) - 1}\ue001"

    if message.role == "assistant":  # templates of the family print assistant content as a plain string
        text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        return {"role": "assistant", "content": place(text)}
    content = [
        {"type": "text", "text": place(part.text)} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.parts
    ]
    return {"role": message.role, "content": content}


def image_positions(grid: tuple[int, int, int], start: int, merge_size: int) -> Tensor:
    """M-RoPE positions (3, merged tokens) of a still image that begins at ``start`` (Qwen2-VL, section 2.1)."""
    t, h, w = grid[0], grid[1] // merge_size, grid[2] // merge_size
    axes = torch.meshgrid(torch.arange(t), torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([axis.reshape(-1) for axis in axes]) + start

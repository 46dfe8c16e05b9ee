"""A policy: a Qwen2.5-VL model with its tokenizer, image processor and the token ids that steer sampling."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from zoom_iqa.base.atomic_files import whole_folder
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.types import Message
from zoom_iqa.policy import norm, patch_embedding
from zoom_iqa.policy.encoding import EncodedPrompt, ImageEncoder, PromptEncoder
from zoom_iqa.policy.lora import ADAPTER_WEIGHTS, peft_adapter, plain_state_dict
from zoom_iqa.policy.token_bytes import TokenBytes

END_TOKENS = ("<|im_end|>", "<|endoftext|>")
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


class Policy:
    """Bundles what turns messages into tokens and tokens into text; holds the model but runs nothing.

    ``stop_ids`` end a generation; ``banned_ids`` must never be sampled (a placeholder in a completion would be taken
    for an image); ``end_id`` closes a written answer.
    """

    def __init__(self, *, model: Any, tokenizer: Any, image_processor: Any, image_cache: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in (*END_TOKENS, "<|image_pad|>") if token not in vocabulary]
        if missing:
            raise PolicyError(f"tokenizer lacks {', '.join(missing)}; use the tokenizer of a Qwen2.5-VL model")
        self.end_id: int = vocabulary["<|im_end|>"]
        self.pad_id: int = vocabulary["<|endoftext|>"]
        self.stop_ids: tuple[int, ...] = tuple(vocabulary[token] for token in END_TOKENS)
        self.banned_ids = _banned(vocabulary, len(tokenizer), model.config.get_text_config().vocab_size)
        self.token_bytes = TokenBytes(tokenizer)
        self.images = ImageEncoder(processor=image_processor, capacity=image_cache)
        self.encoder = PromptEncoder(
            tokenizer=tokenizer, images=self.images, merge_size=model.config.vision_config.spatial_merge_size
        )
        patch_embedding.install(model.model.visual)
        norm.install(model)
        if self.encoder.image_pad_id != model.config.image_token_id:
            raise PolicyError(
                f"image_token_id: the model has {model.config.image_token_id}, its tokenizer "
                f"{self.encoder.image_pad_id}; load both from one folder"
            )

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.model.parameters()).device

    def encode(self, messages: Sequence[Message]) -> EncodedPrompt:
        """Encode a prompt; raises PolicyError when images and placeholders do not match."""
        return self.encoder(messages)

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of a written answer, end token included."""
        return self.encoder.completion_ids(text, self.end_id)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of generated ids without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def save(self, folder: str | Path, *, files: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write model, tokenizer and image processor in transformers' layout; the folder appears complete or not.

        Adapters are added to the weights in float32. ``files`` are texts to put beside them, by name. Of the way in
        which answers are generated the ids of special tokens are kept alone.

        Raises:
            PolicyError: the folder exists.
        """
        folder = Path(folder)
        require_new(folder)
        os.environ.setdefault("DS_ACCELERATOR", self.device.type)  # accelerate loads DeepSpeed, which would guess aloud
        with whole_folder(folder) as staging:
            self.model.generation_config = _plain_generation(self.model.generation_config)
            with _errors_of_the_disk():
                self.model.save_pretrained(staging, state_dict=plain_state_dict(self.model))
            self._save_beside(staging, files)

    def save_adapter(self, folder: str | Path, *, base: str, files: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write the adapter alone in peft's layout, for the model ``base``, with tokenizer and image processor.

        Raises:
            PolicyError: the folder exists, or the policy has no adapter.
        """
        folder = Path(folder)
        require_new(folder)
        config, weights = peft_adapter(self.model, base=base)
        with whole_folder(folder) as staging:
            with _errors_of_the_disk():
                save_file(weights, staging / ADAPTER_WEIGHTS, metadata={"format": "pt"})
            config.save_pretrained(staging)
            self._save_beside(staging, files)

    def _save_beside(self, folder: Path, files: Mapping[str, str]) -> None:
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def _plain_generation(config: Any) -> Any:
    """Its ids alone: a penalty on repetition, which Qwen's own has and no engine here, would give other answers."""
    ids = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return type(config)(**ids)


def require_new(folder: Path) -> None:
    """Pass a folder that is to be made.

    Raises:
        PolicyError: it is there.
    """
    if folder.exists():
        raise PolicyError(f"export folder {folder} exists; remove it or choose another")


@contextmanager
def _errors_of_the_disk() -> Iterator[None]:
    """Let what safetensors says of the disk, such as that it is full, be the OSError that it is."""
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def _banned(vocabulary: dict[str, int], known: int, rows: int) -> tuple[int, ...]:
    """Vision tokens, chat openers, and rows of the output head that no token uses."""
    named = [vocabulary[token] for token in (*VISION_TOKENS, "<|im_start|>") if token in vocabulary]
    return (*named, *range(known, rows))

"""Parts of a trajectory that filters show to a model: a rationale, its beginning, and the questions of VRF."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ImagePart, Message, TextPart
from zoom_iqa.tasks.format import paragraphs

_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|<answer>|$)", re.DOTALL)
SLOTS = ("{question}", "{rationale}")


@dataclass(frozen=True, kw_only=True)
class VerificationPrompts:
    """The questions of VRF; each holds ``{question}`` and ``{rationale}``, and asks for the answer alone.

    Raises:
        ConfigError: a prompt lacks a slot.
    """

    with_image: str
    without_image: str

    def __post_init__(self) -> None:
        for name in ("with_image", "without_image"):
            for slot in SLOTS:
                if slot not in getattr(self, name):
                    raise ConfigError(f"vrf.prompts.{name} has no {slot}; say where it goes")

    def messages(self, image: ImagePart | None, *, question: str, beginning: str) -> tuple[Message, ...]:
        """The question with the image in front of it, or without one."""
        prompt = self.without_image if image is None else self.with_image
        text = TextPart(prompt.replace("{question}", question).replace("{rationale}", beginning))
        return (Message("user", (text,) if image is None else (image, text)),)


def digest_of(text: str) -> str:
    """A short name of a text: an answer about one is none about another that stands in its place."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def thought_of(text: str) -> str:
    """The text inside the first ``<think>``; empty where there is none."""
    found = _THOUGHT.search(text)
    return "" if found is None else found[1].strip()


def beginning_of(text: str, sections: Sequence[str]) -> str:
    """The paragraphs of an answer's thought before its decision, the last of ``sections``, which holds the rating."""
    found = paragraphs(text, sections)
    return "\n".join(f"{name}: {found[name]}" for name in sections[:-1] if name in found)

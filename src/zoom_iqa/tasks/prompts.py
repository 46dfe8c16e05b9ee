"""The texts told to the policy: question wordings, two prompts, section names, and the messages made of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ImagePart, Message, TextPart
from zoom_iqa.tasks.answer import shown

QUESTION_SLOT = "{question}"
SECTIONS = 4

_OFFICIAL_MODULES = ("zoomiqa.protocol", "zoomiqa.inference.protocol")  # its module moved between releases


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """Every text of the protocol.

    ``turn1`` holds ``{question}``, which is filled. ``turn2`` is sent as written, so a ``{question}`` in it stays
    literal: the released checkpoint was trained on such a text. Sections are the labels of the four paragraphs inside
    ``<think>``, by role: summary, directions, issues, decision. ``terse`` says that the answers wanted are single
    clauses with coordinates of one decimal (for policies of a few million parameters).

    Raises:
        ConfigError: a text is empty, a question or a section occurs twice, a section list is not four long, or
            ``turn1`` has no ``{question}``.
    """

    questions: Sequence[str]
    turn1: str
    turn2: str
    sections_turn1: Sequence[str]
    sections_turn2: Sequence[str]
    original_label: str
    crop_label: str
    terse: bool

    def __post_init__(self) -> None:
        for name in ("questions", "sections_turn1", "sections_turn2"):
            object.__setattr__(self, name, distinct_texts(name, getattr(self, name)))
        for name in ("sections_turn1", "sections_turn2"):
            if len(getattr(self, name)) != SECTIONS:
                raise ConfigError(f"{name}={list(getattr(self, name))}; give {SECTIONS} names")
        for name in ("turn1", "turn2", "original_label", "crop_label"):
            require_text(name, getattr(self, name))
        require_slot("turn1", self.turn1, QUESTION_SLOT)

    def sections(self, turn: int) -> Sequence[str]:
        """The four section names of turn 1 or 2."""
        return self.sections_turn1 if turn == 1 else self.sections_turn2


def build_turn1(prompts: PromptSet, *, question: str, image: ImagePart) -> tuple[Message, ...]:
    """One user message: the prompt with its question, then the image."""
    text = prompts.turn1.replace(QUESTION_SLOT, question)
    return (Message("user", (TextPart(text), image)),)


def build_turn2(
    prompts: PromptSet, *, question: str, turn1_output: str, image: ImagePart, crop: ImagePart
) -> tuple[Message, ...]:
    """The rebuilt conversation: bare question, the whole turn-1 output, then the second prompt with both images."""
    second = (
        TextPart(prompts.turn2),
        TextPart(prompts.original_label),
        image,
        TextPart(prompts.crop_label),
        crop,
    )
    return (
        Message("user", (TextPart(question),)),
        Message("assistant", (TextPart(turn1_output),)),
        Message("user", second),
    )


def official_prompts(
    *, sections_turn1: Sequence[str], sections_turn2: Sequence[str], original_label: str, crop_label: str
) -> PromptSet:
    """The exact strings the released Zoom-IQA checkpoint was trained with, read from the authors' installed package.

    Looks in ``zoomiqa.protocol``, then ``zoomiqa.inference.protocol``, for ``RANDOM_QUESTIONS``, ``STAGE1_PROMPT`` (a
    ``str.format`` template) and ``STAGE2_PROMPT`` (sent verbatim, its ``{question}`` and doubled braces unfilled).

    Raises:
        ConfigError: the package is not installed, cannot be imported, or lacks one of these names.
    """
    module = _official_module()
    absent = [name for name in ("RANDOM_QUESTIONS", "STAGE1_PROMPT", "STAGE2_PROMPT") if not hasattr(module, name)]
    if absent:
        raise ConfigError(f"prompts=official: {module.__name__} has no {', '.join(absent)}; install another release")
    return PromptSet(
        questions=module.RANDOM_QUESTIONS,
        turn1=module.STAGE1_PROMPT.format(question=QUESTION_SLOT),
        turn2=module.STAGE2_PROMPT,
        sections_turn1=sections_turn1,
        sections_turn2=sections_turn2,
        original_label=original_label,
        crop_label=crop_label,
        terse=False,
    )


def _official_module() -> ModuleType:
    for name in _OFFICIAL_MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise ConfigError(f"prompts=official: importing {name} needs {error.name}; install it") from error
    raise ConfigError(
        "prompts=official: the package zoomiqa is not installed; install the Zoom-IQA authors' release "
        "(github.com/EthanLiang99/Zoom-IQA), or use prompts=full"
    )


def distinct_texts(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """The texts under the key ``name`` of a group of prompts; errors begin with it, and the config says of which.

    Raises:
        ConfigError: there is none, one is empty, or one is repeated.
    """
    if isinstance(texts, str) or not texts:
        raise ConfigError(f"{name}={texts!r}; give a list of texts")
    for text in texts:
        require_text(name, text)
    if len(set(texts)) != len(texts):
        raise ConfigError(f"{name}={list(texts)} repeats a text; each must be different")
    return tuple(texts)


def require_text(name: str, text: str) -> None:
    """Pass a text under the key ``name`` that says something.

    Raises:
        ConfigError: it is empty, or no text.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{name}={text!r}; give a text that is not empty")


def require_slot(name: str, text: str, slot: str) -> None:
    """Pass a text under the key ``name`` that has a place for what is filled in.

    Raises:
        ConfigError: it has none.
    """
    if slot not in text:
        raise ConfigError(f"{name}={shown(text)!r} has no {slot}; say where it goes")

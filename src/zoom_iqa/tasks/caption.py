"""The rating question about a described image: text alone (pass 2 of H-IQA, arXiv 2512.16484).

A description that carries the judgement lets its reader rate the image that it was written about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import Message, Reading, Sample, TextPart
from zoom_iqa.tasks.answer import read_object, read_values
from zoom_iqa.tasks.prompts import QUESTION_SLOT, distinct_texts, require_slot
from zoom_iqa.tasks.sessions import QuestionSession, WordedTask, request_of

DESCRIPTION_SLOT = "{description}"
_TAGS = re.compile(r"<think>.*?</think>\s*<answer>\s*\{.*?\}\s*</answer>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class CaptionPrompts:
    """The texts of the task; ``prompt`` holds ``{question}`` and ``{description}``, which are filled.

    Raises:
        ConfigError: there is no question, one is empty or repeated, or ``prompt`` lacks a slot.
    """

    questions: Sequence[str]
    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", distinct_texts("questions", self.questions))
        for slot in (QUESTION_SLOT, DESCRIPTION_SLOT):
            require_slot("prompt", self.prompt, slot)


class CaptionTask(WordedTask):
    """Rates the image that a text describes; a sample's description is the first of its example's references."""

    def __init__(self, *, prompts: CaptionPrompts) -> None:
        self._prompts = prompts

    @property
    def questions(self) -> Sequence[str]:
        """The wordings."""
        return self._prompts.questions

    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> QuestionSession:
        """The question about the description, text alone.

        Raises:
            DataError: the example has no description.
        """
        example = sample.example
        if not example.references:
            raise DataError(f"{example.name} has no description to rate; give one in its references")
        text = self._prompts.prompt.replace(QUESTION_SLOT, question).replace(DESCRIPTION_SLOT, example.references[0])
        prompt = (Message("user", (TextPart(text),)),)
        request = request_of(prompt, example=example, index=index, seed=seed, turn=1, name="described")
        return QuestionSession(example=example, index=index, request=request, read=_read)


def _read(text: str) -> Reading:
    found = read_object(text)
    values, failure = read_values(found.written_rating)
    well_formed = _TAGS.fullmatch(text.strip()) is not None
    return Reading(values=values, well_formed=well_formed, failure=failure, spans=found.spans)

"""The rating question about a described image: text alone (pass 2 of H-IQA, arXiv 2512.16484).

A description that carries the judgement lets its reader rate the image that it was written about.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoom_iqa.base.errors import ConfigError, DataError, ProtocolError, SessionError
from zoom_iqa.base.types import (
    Ending,
    Example,
    Generation,
    Message,
    ParseFailure,
    Reading,
    Request,
    Rollout,
    Sample,
    Step,
    TextPart,
)
from zoom_iqa.tasks.answer import rating_values, read_object
from zoom_iqa.tasks.task import derive_seed, prompt_key

if TYPE_CHECKING:
    import numpy as np

QUESTION_SLOT, DESCRIPTION_SLOT = "{question}", "{description}"
_TAGS = re.compile(r"<think>.*?</think>\s*<answer>\s*\{.*?\}\s*</answer>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class CaptionPrompts:
    """The texts of the task; ``prompt`` holds ``{question}`` and ``{description}``, which are filled.

    Raises:
        ConfigError: there is no question, or ``prompt`` lacks a slot.
    """

    questions: Sequence[str]
    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", tuple(self.questions))
        if not self.questions:
            raise ConfigError("prompts.questions is empty; give at least one")
        for slot in (QUESTION_SLOT, DESCRIPTION_SLOT):
            if slot not in self.prompt:
                raise ConfigError(f"prompts.prompt has no {slot}; say where it goes")


class CaptionTask:
    """Rates the image that a text describes; a sample's description is the first of its example's references."""

    def __init__(self, *, prompts: CaptionPrompts) -> None:
        self._prompts = prompts

    def open(self, sample: Sample, *, index: int, seed: int) -> CaptionSession:
        """The session of one rollout; the wording follows from ``seed``.

        Raises:
            DataError: the example has no description.
        """
        question = random.Random(seed).choice(self._prompts.questions)
        return self._session(sample, index, question, derive_seed(seed, index))

    def rehearse(self, sample: Sample, rng: np.random.Generator) -> CaptionSession:
        """A session for a written text, under a wording drawn from ``rng``."""
        question = self._prompts.questions[int(rng.integers(len(self._prompts.questions)))]
        return self._session(sample, 0, question, 0)

    def _session(self, sample: Sample, index: int, question: str, seed: int) -> CaptionSession:
        example = sample.example
        if not example.references:
            raise DataError(f"{example.name} has no description to rate; give one in its references")
        text = self._prompts.prompt.replace(QUESTION_SLOT, question).replace(DESCRIPTION_SLOT, example.references[0])
        return CaptionSession(example=example, index=index, text=text, seed=seed)


class CaptionSession:
    """One question, one answer."""

    def __init__(self, *, example: Example, index: int, text: str, seed: int) -> None:
        self._example, self._index = example, index
        prompt = (Message("user", (TextPart(text),)),)
        self._request = Request(
            key=f"{example.name}/{seed:016x}/{index}/described",
            prompt_key=prompt_key(prompt),
            prompt=prompt,
            seed=derive_seed(seed, 1),
        )
        self._step: Step | None = None

    def next_request(self) -> Request | None:
        """The question, until it is answered."""
        return self._request if self._step is None else None

    def submit(self, generation: Generation) -> None:
        """Take the answer.

        Raises:
            SessionError: there is one already, or it answers another request.
        """
        if self._step is not None or generation.key != self._request.key:
            raise SessionError(f"{self._example.name}: submitted {generation.key!r}, which is not asked for")
        self._step = Step(self._request, generation, _read(generation.text))

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: there is no answer yet.
        """
        if self._step is None:
            raise SessionError(f"{self._example.name}: asked for a rollout before an answer")
        return Rollout(self._example, self._index, (self._step,), Ending.FINAL)


def _read(text: str) -> Reading:
    found = read_object(text)
    spans = {"numbers": tuple(found.numbers), "rating": tuple(found.rating_digits)}
    well_formed = _TAGS.fullmatch(text.strip()) is not None
    try:
        return Reading(values=rating_values(found.written_rating()), well_formed=well_formed, spans=spans)
    except ProtocolError as error:
        return Reading(well_formed=well_formed, failure=ParseFailure(error.reason, error.detail), spans=spans)

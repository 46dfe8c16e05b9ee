"""A caption, a thought and a rating of one image in one turn, after H-IQA (arXiv 2512.16484).

The caption says what is shown, what looks good and what looks bad, so that its reader can judge without the image:
``tasks/caption.py`` is the question to that reader. The wording is ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoom_iqa.base.errors import ConfigError, ProtocolError, SessionError
from zoom_iqa.base.types import (
    Ending,
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
from zoom_iqa.tasks.answer import Pairs, rating_values, read_object
from zoom_iqa.tasks.description import kind_of_caption
from zoom_iqa.tasks.task import derive_seed, prompt_key

if TYPE_CHECKING:
    import numpy as np

QUESTION_SLOT = "{question}"
_TAGS = ("<caption>", "</caption>", "<think>", "</think>", "<answer>", "</answer>")
_FORM = re.compile(
    r"<caption>(?P<caption>.*)</caption>\s*<think>(?P<think>.*)</think>\s*<answer>\s*(?P<answer>\{.*\})\s*</answer>",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class CaptionReasonPrompts:
    """The texts of the task; ``prompt`` holds ``{question}``, which is filled.

    ``terse`` says that the answers wanted are single clauses (for policies of a few million parameters).

    Raises:
        ConfigError: there is no question, or ``prompt`` lacks its slot.
    """

    questions: Sequence[str]
    prompt: str
    terse: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", tuple(self.questions))
        if not self.questions:
            raise ConfigError("task.prompts.questions is empty; give at least one")
        if QUESTION_SLOT not in self.prompt:
            raise ConfigError(f"task.prompts.prompt has no {QUESTION_SLOT}; say where it goes")


class CaptionReasonTask:
    """Rates one image in one turn that describes it first."""

    def __init__(self, *, prompts: CaptionReasonPrompts) -> None:
        self.prompts = prompts

    def open(self, sample: Sample, *, index: int, seed: int) -> CaptionReasonSession:
        """The session of one rollout; the wording follows from ``seed``, so that a group shares it."""
        question = random.Random(seed).choice(self.prompts.questions)
        return self._session(sample, index, question, derive_seed(seed, index))

    def rehearse(self, sample: Sample, rng: np.random.Generator) -> CaptionReasonSession:
        """A session for a written text, under a wording drawn from ``rng``."""
        question = self.prompts.questions[int(rng.integers(len(self.prompts.questions)))]
        return self._session(sample, 0, question, 0)

    def _session(self, sample: Sample, index: int, question: str, seed: int) -> CaptionReasonSession:
        text = self.prompts.prompt.replace(QUESTION_SLOT, question)
        return CaptionReasonSession(sample=sample, index=index, text=text, seed=seed)


class CaptionReasonSession:
    """One question, one answer."""

    def __init__(self, *, sample: Sample, index: int, text: str, seed: int) -> None:
        self._sample, self._index = sample, index
        prompt = (Message("user", (TextPart(text), sample.images[0])),)
        self._request = Request(
            key=f"{sample.example.name}/{seed:016x}/{index}/turn1",
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
            name = self._sample.example.name
            raise SessionError(f"{name}: submitted {generation.key!r}, which is not asked for")
        self._step = Step(self._request, generation, read_caption_reason(generation.text))

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: there is no answer yet.
        """
        if self._step is None:
            raise SessionError(f"{self._sample.example.name}: asked for a rollout before an answer")
        return Rollout(self._sample.example, self._index, (self._step,), Ending.FINAL)


def read_caption_reason(text: str) -> Reading:
    """The rating, where its digits stand, and whether the form is met.

    The form: caption, thought and answer in this order, each tag once, none of them empty, nothing around them; the
    answer is a JSON object with the one key ``rating``. A rating is read from less: an answer alone will do. The value
    ``caption`` is the kind of the caption, see ``Caption``.
    """
    found = read_object(text)
    form = _FORM.fullmatch(text.strip())
    well_formed = (
        form is not None
        and all(text.count(tag) == 1 for tag in _TAGS)
        and bool(form["caption"].strip() and form["think"].strip())
        and _rating_alone(found.pairs)
    )
    spans = {"numbers": tuple(found.numbers), "rating": tuple(found.rating_digits)}
    values: dict[str, float | str] = {"caption": kind_of_caption(text).value}
    try:
        values |= rating_values(found.written_rating())
    except ProtocolError as error:
        failure = ParseFailure(error.reason, error.detail)
        return Reading(values=values, well_formed=False, failure=failure, spans=spans)
    return Reading(values=values, well_formed=well_formed, spans=spans)


def _rating_alone(pairs: Pairs | None) -> bool:
    return pairs is not None and [key for key, _ in pairs] == ["rating"]

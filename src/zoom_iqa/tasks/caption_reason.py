"""A caption, a thought and a rating of one image in one turn, after H-IQA (arXiv 2512.16484).

The caption says what is shown, what looks good and what looks bad, so that its reader can judge without the image:
``tasks/caption.py`` is the question to that reader. The wording is ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.base.types import (
    Message,
    Reading,
    Sample,
    TextPart,
)
from zoom_iqa.tasks.answer import read_object, read_values
from zoom_iqa.tasks.description import kind_of_caption
from zoom_iqa.tasks.lenient_json import Pairs
from zoom_iqa.tasks.prompts import QUESTION_SLOT, distinct_texts, require_slot
from zoom_iqa.tasks.sessions import QuestionSession, WordedTask, request_of
from zoom_iqa.tasks.task import Given

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
        ConfigError: there is no question, one is empty or repeated, or ``prompt`` lacks its slot.
    """

    questions: Sequence[str]
    prompt: str
    terse: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", distinct_texts("questions", self.questions))
        require_slot("prompt", self.prompt, QUESTION_SLOT)


class CaptionReasonTask(WordedTask):
    """Rates one image in one turn that describes it first."""

    gives: frozenset[Given] = frozenset({"ratings"})

    def __init__(self, *, prompts: CaptionReasonPrompts) -> None:
        self.prompts = prompts

    @property
    def questions(self) -> Sequence[str]:
        """The wordings."""
        return self.prompts.questions

    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> QuestionSession:
        """The question about the image."""
        text = self.prompts.prompt.replace(QUESTION_SLOT, question)
        prompt = (Message("user", (TextPart(text), sample.images[0])),)
        request = request_of(prompt, example=sample.example, index=index, seed=seed, turn=1)
        return QuestionSession(example=sample.example, index=index, request=request, read=read_caption_reason)


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
    values, failure = read_values(found.written_rating)
    return Reading(
        values={"caption": kind_of_caption(text).value, **values},
        well_formed=well_formed and failure is None,
        failure=failure,
        spans=found.spans,
    )


def _rating_alone(pairs: Pairs | None) -> bool:
    return pairs is not None and [key for key, _ in pairs] == ["rating"]

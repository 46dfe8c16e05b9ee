"""A comparison of two images: one question, answered with "Image A", "Image B" or "Similar".

After the comparison that Q-Insight (arXiv 2503.22679) and Q-DeepSight (arXiv 2604.16858) are judged by. The wording is
ours, and so is the form, a thought and one of the three answers:

    <think>...</think><answer>Image B</answer>

A reference, where there is one, is shown before the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.targets import CHOICES, Choice
from zoom_iqa.base.types import Example, ImagePart, Message, ParseFailure, Reading, Sample, Span, TextPart
from zoom_iqa.tasks.answer import shown, without_thoughts
from zoom_iqa.tasks.prompts import QUESTION_SLOT, distinct_texts, require_slot, require_text
from zoom_iqa.tasks.sessions import QuestionSession, WordedTask, request_of
from zoom_iqa.tasks.task import Given

_OPENING, _CLOSING = "<answer>", "</answer>"
_TAGS = ("<think>", "</think>", _OPENING, _CLOSING)


@dataclass(frozen=True, kw_only=True)
class ComparePrompts:
    """The texts of the task: ``prompt`` holds ``{question}``; a label stands before each image.

    ``terse`` says that the thoughts wanted are single clauses (for policies of a few million parameters).

    Raises:
        ConfigError: a text is empty, a question occurs twice, or ``prompt`` lacks its slot.
    """

    questions: Sequence[str]
    prompt: str
    reference_label: str
    first_label: str
    second_label: str
    terse: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", distinct_texts("questions", self.questions))
        for name in ("prompt", "reference_label", "first_label", "second_label"):
            require_text(name, getattr(self, name))
        require_slot("prompt", self.prompt, QUESTION_SLOT)


class CompareTask(WordedTask):
    """Compares the two images of an example; ``reference`` says that another one comes before them."""

    gives: frozenset[Given] = frozenset()

    def __init__(self, *, prompts: ComparePrompts, reference: bool) -> None:
        self.prompts, self._reference = prompts, reference

    @property
    def questions(self) -> Sequence[str]:
        """The wordings."""
        return self.prompts.questions

    @property
    def images_shown(self) -> int:
        """Two, and the reference where there is one."""
        return 3 if self._reference else 2

    def check_examples(self, examples: Sequence[Example]) -> None:
        """Pass examples of as many images as the question shows.

        Raises:
            DataError: some have another number; all of them are listed.
        """
        odd = [
            f"{example.name}: {len(example.images)} image{'s' * (len(example.images) != 1)}"
            for example in examples
            if len(example.images) != self.images_shown
        ]
        if odd:
            kind = f"a reference and two images (task.reference={str(self._reference).lower()})"
            raise DataError(
                f"task=compare asks about {kind if self._reference else 'two images'}, and {len(odd)} of "
                f"{len(examples)} examples have another number; use pairs, such as benchmark=embedded_pairs or srbench",
                odd,
            )

    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> QuestionSession:
        """The question about the images.

        Raises:
            DataError: the sample has another number of images.
        """
        self.check_examples([sample.example])
        labels = [self.prompts.reference_label] if self._reference else []
        labels += [self.prompts.first_label, self.prompts.second_label]
        parts: list[TextPart | ImagePart] = [TextPart(self.prompts.prompt.replace(QUESTION_SLOT, question))]
        for label, image in zip(labels, sample.images, strict=True):
            parts += [TextPart(label), image]
        prompt = (Message("user", tuple(parts)),)
        request = request_of(prompt, example=sample.example, index=index, seed=seed, turn=1)
        return QuestionSession(example=sample.example, index=index, request=request, read=read_comparison)


def read_comparison(text: str) -> Reading:
    """The choice, its place, and whether the form is met; whatever the text, reading it raises nothing.

    The first ``<answer>...</answer>`` outside a thought counts; its words are one of the three, exactly, with blanks
    around them at most. The form: a thought with words in it and an answer, each tag once, nothing around them.
    """
    span = _answer_span(without_thoughts(text))
    if span is None:
        return _unreadable(ParseFailure("missing_answer", "the text has no <answer>...</answer>"))
    words = text[slice(*span)]
    choice = _choice(words)
    if choice is None:
        return _unreadable(ParseFailure("bad_choice", f"the answer is {shown(words)!r}; one of {', '.join(CHOICES)}"))
    start = span[0] + words.index(choice)
    return Reading(
        values={"choice": choice},
        well_formed=_well_formed(text, span),
        spans={"numbers": (), "choice": ((start, start + len(choice)),)},
    )


def _unreadable(failure: ParseFailure) -> Reading:
    return Reading(well_formed=False, failure=failure, spans={"numbers": ()})


def _answer_span(text: str) -> Span | None:
    start = text.find(_OPENING)
    end = text.find(_CLOSING, start) if start >= 0 else -1
    return None if end < 0 else (start + len(_OPENING), end)


def _choice(words: str) -> Choice | None:
    return next((choice for choice in CHOICES if choice == words.strip()), None)


def _well_formed(text: str, answer: Span) -> bool:
    if any(text.count(tag) != 1 for tag in _TAGS) or text[answer[1] + len(_CLOSING) :].strip():
        return False
    start, _, rest = text[: answer[0] - len(_OPENING)].partition("<think>")
    thought, closing, between = rest.partition("</think>")
    return bool(closing and thought.strip()) and not start.strip() and not between.strip()

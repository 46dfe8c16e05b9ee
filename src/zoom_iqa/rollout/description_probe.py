"""Asks for the rating again from what a rollout has written before its answer, text alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from zoom_iqa.base.types import Rollout, Sample, TextPart
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionTask
from zoom_iqa.tasks.description import OwnText, Strip, check_description, shown_words
from zoom_iqa.tasks.task import Session, derive_seed


class DescriptionProbe:
    """One question about the image that a rollout describes; a rollout without a description is not asked.

    After H-IQA's self-consistency (arXiv 2512.16484), whose second pass sees the policy's own words and no image.
    ``text`` says which words, ``strip`` what is struck from them; see ``tasks/description.py``. The question has the
    wording that the rollout was asked in, where ``prompts`` holds it, and a drawn one elsewhere. Wording and seed
    follow from the rollout, so that two probes differ by the words alone and not by the drawing.

    Raises:
        ConfigError: there is no such text or strip.
    """

    def __init__(self, *, prompts: CaptionPrompts, text: OwnText, strip: Strip) -> None:
        check_description("probe", text=text, strip=strip)
        self._task = CaptionTask(prompts=prompts)
        self._text, self._strip = text, strip

    def sessions(self, rollout: Rollout) -> list[Session]:
        """The question, or nothing."""
        last = rollout.steps[-1]
        texts = [step.generation.text for step in rollout.steps]
        captioned = "caption" in last.reading.values
        words = shown_words(texts, text=self._text, strip=self._strip, captioned=captioned)
        if words is None:
            return []
        described = Sample(replace(rollout.example, references=(words,)), ())
        seed = derive_seed(last.request.seed, "description")
        question = _wording(rollout, self._task.questions) or random.Random(seed).choice(self._task.questions)
        return [self._task.session(described, index=rollout.index, question=question, seed=seed)]


def _wording(rollout: Rollout, questions: Sequence[str]) -> str | None:
    """The question among ``questions`` that the rollout was asked first, the longest that its prompt holds."""
    parts = [part for message in rollout.steps[0].request.prompt for part in message.parts]
    held = [one for one in questions for part in parts if isinstance(part, TextPart) and one in part.text]
    return max(held, key=len, default=None)

"""Asks for the rating again from what a rollout has written before its answer, text alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from zoom_iqa.base.types import Rollout, Sample
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionTask
from zoom_iqa.tasks.description import DescriptionText, Strip, check_description, description, struck
from zoom_iqa.tasks.task import Session, derive_seed


class DescriptionProbe:
    """One question about the image that a rollout describes; a rollout without a description is not asked.

    After H-IQA's self-consistency (arXiv 2512.16484), whose second pass sees the policy's own words and no image.
    ``text`` says which words, ``strip`` what is struck from them; see ``tasks/description.py``. Own words are caption
    and thought in a task that asks for captions, and all thoughts in another.

    Raises:
        ConfigError: there is no such text or strip.
    """

    def __init__(self, *, prompts: CaptionPrompts, text: DescriptionText | Literal["own"], strip: Strip) -> None:
        check_description("probe", text=text, strip=strip, also=("own",))
        self._task = CaptionTask(prompts=prompts)
        self._text, self._strip = text, strip

    def sessions(self, rollout: Rollout) -> list[Session]:
        """The question, or nothing."""
        words = description([step.generation.text for step in rollout.steps], text=self._of(rollout))
        words = None if words is None else struck(words, strip=self._strip)
        if not words:
            return []
        described = replace(rollout.example, references=(words,))
        seed = derive_seed(rollout.steps[-1].request.seed, "description", self._text, self._strip)
        return [self._task.open(Sample(described, ()), index=rollout.index, seed=seed)]

    def _of(self, rollout: Rollout) -> DescriptionText:
        if self._text != "own":
            return self._text
        return "caption_think" if "caption" in rollout.steps[-1].reading.values else "thoughts"

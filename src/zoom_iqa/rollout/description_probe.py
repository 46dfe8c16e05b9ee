"""Asks for the rating again from what a rollout has written before its answer, text alone."""

from __future__ import annotations

import re
from dataclasses import replace

from zoom_iqa.base.types import Rollout, Sample
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionSession, CaptionTask
from zoom_iqa.tasks.task import derive_seed

_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)


class DescriptionProbe:
    """One question about the image that the last thought describes; a rollout without a thought is not asked.

    After H-IQA's self-consistency (arXiv 2512.16484), whose second pass sees the policy's own words and no image.
    """

    def __init__(self, *, prompts: CaptionPrompts) -> None:
        self._task = CaptionTask(prompts=prompts)

    def sessions(self, rollout: Rollout) -> list[CaptionSession]:
        """The question, or nothing."""
        last = rollout.steps[-1]
        found = _THOUGHT.search(last.generation.text)
        if found is None or not found.group(1).strip():
            return []
        described = replace(rollout.example, references=(found.group(1).strip(),))
        seed = derive_seed(last.request.seed, "description")
        return [self._task.open(Sample(described, ()), index=rollout.index, seed=seed)]

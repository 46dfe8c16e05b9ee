"""The part of an assessment that restorers need: prompts for text-guided ones, repairs for the embedded one."""

from __future__ import annotations

import os

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.tasks.guidance import CountTokens, Guidance, Target, guidance, sentences
from zoom_iqa.tasks.tools.repairs import Repairs, repairs_for

SUMMARY, DIRECTIONS, ISSUES, DECISION = range(4)
"""The roles of a turn's paragraphs."""


def guidance_of(assessment: Assessment, *, target: Target, count: CountTokens | None = None) -> Guidance:
    """The prompts of an assessment: its directions and issues, turn by turn."""
    directions, issues = role_paragraphs(assessment, DIRECTIONS), role_paragraphs(assessment, ISSUES)
    return guidance(directions, issues, target=target, count=count)


def token_counter(folder: str) -> CountTokens:
    """Counts with the tokenizer in ``folder``.

    Raises:
        ConfigError: there is none in transformers' layout.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) if os.path.isdir(folder) else "there is no such folder, nor one fetched"
        raise ConfigError(f"--tokenizer {folder}: no tokenizer could be loaded from it ({reason})") from error

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return count


def repairs_of(assessment: Assessment) -> Repairs:
    """The repairs of all issues that the answer names, at the places that its other paragraphs name with them."""
    placing = sentences(role_paragraphs(assessment, SUMMARY) + role_paragraphs(assessment, DECISION))
    return repairs_for(sentences(role_paragraphs(assessment, ISSUES)), placing=placing)


def role_paragraphs(assessment: Assessment, role: int) -> list[str]:
    """The paragraphs of one role, turn by turn."""
    turns = enumerate(assessment.paragraphs)
    named = ((found, assessment.labels(turn)) for turn, found in turns)
    return [found[labels[role]] for found, labels in named if role < len(labels) and labels[role] in found]

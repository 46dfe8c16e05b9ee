"""A question that a step of curation asks about an image, of whom it asks, and how the answer is read."""

from __future__ import annotations

from collections.abc import Callable

from zoom_iqa.base.types import Example, Message, Reading, Request
from zoom_iqa.tasks.sessions import QuestionSession
from zoom_iqa.tasks.task import derive_seed, prompt_key


def as_written(text: str) -> Reading:
    """Nothing is read: the text itself is kept."""
    return Reading(well_formed=True)


def question(
    example: Example,
    prompt: tuple[Message, ...],
    *,
    name: str,
    speaker: str,
    seed: int,
    read: Callable[[str], Reading] = as_written,
) -> QuestionSession:
    """Asks ``prompt`` of ``speaker`` once; ``name`` tells questions about one example apart."""
    request = Request(
        key=f"{example.name}/{name}",
        prompt_key=prompt_key(prompt),
        prompt=prompt,
        seed=derive_seed(seed, example.name, name),
        speaker=speaker,
    )
    return QuestionSession(example=example, index=0, request=request, read=read)

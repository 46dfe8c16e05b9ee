"""An assessor for the demo page: it types what it says of an image's grey, and is quick to load."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.made_assessments import image_assessor
from support.typing_engine import TypingEngine
from support.written_engine import written
from zoom_iqa.base.types import ImagePart, Request
from zoom_iqa.evaluation.assessor import ImageAssessor

HOSTILE = '<think>Quality: <img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}} \x1b[31m</think>'


def say(grey: float, turn: int) -> str:
    """Black gets a text with markup, mid grey 3.00 at once, all else 3.50 with a crop and 2.75 after it."""
    if grey < 10:
        return HOSTILE + written("turn1", rating=1.0, crop=False).partition("</think>")[2]
    if 100 < grey < 156:
        return written("turn1", rating=3.0, crop=False)
    return written("turn1", rating=3.5, crop=True) if turn == 1 else written("turn2", rating=2.75, crop=False)


def demo_assessor(*, pause_s: float = 0.0) -> ImageAssessor:
    def script(request: Request) -> str:
        parts = [part for message in request.prompt for part in message.parts if isinstance(part, ImagePart)]
        return say(float(np.asarray(parts[0].image).mean()), len(parts))

    def engine(*, sampling: Any, **others: Any) -> TypingEngine:
        return TypingEngine(script=script, sampling=sampling, policy=None, piece=4, pause_s=pause_s)

    assessor = image_assessor(max_pixels=200_000)
    assessor._engine = engine(sampling=assessor._engine.sampling)
    return assessor

"""Assessments of written answers: an assessor whose policy says what a function of the image's grey tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from support.made_rollouts import reading
from support.random_policy import build_random_policy
from support.written_engine import written
from support.written_rollouts import PROMPTS, SAMPLING
from zoom_iqa.base.judgements import Evidence, RatingDistribution
from zoom_iqa.base.records import Record, RecordedStep, record_of
from zoom_iqa.base.types import (
    Box,
    Ending,
    Example,
    ImagePart,
    Look,
    ParseFailure,
    Reading,
    Request,
    RolloutGroup,
    ToolCall,
)
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.evaluation.assessment import Assessment, expected_of
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tasks.zoom import ZoomTask

SECTIONS = (tuple(PROMPTS.sections_turn1), tuple(PROMPTS.sections_turn2))
STD = 0.1
Say = Callable[[float, int], str]
"""The text of a turn for an image of this mean grey (0-255); turns count from 1."""


def brightness_rating(grey: float, turn: int) -> str:
    """1 for black to 5 for white, in one turn."""
    return written("turn1", rating=1 + 4 * grey / 255, crop=False)


class CertainAssessor(ImageAssessor):
    """Its policy would write any text, so that the rating it is said to expect is the one that was written."""

    def _records(self, group: RolloutGroup) -> tuple[Record, ...]:
        return tuple(record_of(rollout, expected=certain(rollout.rating)) for rollout in group.rollouts)


def certain(rating: float | ParseFailure | None) -> RatingDistribution | None:
    return RatingDistribution(mean=rating, std=STD, mass=1.0) if isinstance(rating, float) else None


def image_assessor(
    say: Say = brightness_rating, *, policy: Policy | None = None, asked: list[str] | None = None, **changed: Any
) -> ImageAssessor:
    """``asked`` collects the keys of all requests."""

    def script(request: Request) -> str:
        if asked is not None:
            asked.append(request.key)
        parts = [part for message in request.prompt for part in message.parts if isinstance(part, ImagePart)]
        return say(float(np.asarray(parts[0].image).mean()), len(parts))

    settings: dict[str, Any] = {
        "policy": policy or build_random_policy(),
        "task": ZoomTask(prompts=PROMPTS),
        "engine": lambda *, policy, sampling, features: ScriptedEngine(script=script, sampling=sampling, policy=None),
        "sampling": SAMPLING,
        "features_capacity": 1000,
        "batch_size": 3,
        "samples": 1,
        "workers": 0,
        "seed": 0,
        "sections": SECTIONS,
        "max_pixels": 10_000,
        "upright": True,
        **changed,
    }
    return CertainAssessor(**settings) if changed.get("engine") is None else ImageAssessor(**settings)


def grey_image(grey: int, width: int = 48, height: int = 32) -> Image.Image:
    return Image.new("RGB", (width, height), (grey, grey, grey))


def answer(
    *ratings: float | None, boxes: tuple[Box | None, ...] = (), text: str = "Avoid: blur", sample: int = 0
) -> Record:
    """A record with a turn for each rating; ``boxes`` are the crops asked for in the first turns."""
    steps = tuple(
        RecordedStep(
            text=text,
            tokens=1,
            finish="stop",
            reading=reading(ParseFailure("bad_rating", "") if rating is None else rating),
            looks=(Look(box=boxes[turn]),) if turn < len(boxes) else (),
        )
        for turn, rating in enumerate(ratings)
    )
    return Record(
        example=Example(id="x", dataset="images"),
        sample=sample,
        steps=steps,
        ending=Ending.FINAL,
        expected=certain(ratings[-1]),
    )


def chain_answer(*, bbox: tuple[float, float, float, float] = (0.1, 0.2, 0.6, 0.7)) -> Record:
    """A look for blur, then an answer of 2.00 whose evidence lies at ``bbox``."""
    waits = Reading(
        calls=(ToolCall(tool="zoom", bbox=(0.1, 0.2, 0.6, 0.7), look_for="blur"),),
        well_formed=True,
        failure=ParseFailure("missing_answer", ""),
    )
    rests = replace(reading(2.0), evidence=(Evidence(bbox=bbox, defect="blur", severity="clear"),))
    steps = (
        RecordedStep(text="look", tokens=1, finish="stop", reading=waits, looks=(Look(box=(10, 10, 60, 35)),)),
        RecordedStep(text="answer", tokens=1, finish="stop", reading=rests),
    )
    return Record(example=Example(id="x", dataset="images"), sample=0, steps=steps, ending=Ending.FINAL)


def assessment(*records: Record, source: str = "photo.jpg", size: tuple[int, int] = (100, 50)) -> Assessment:
    return Assessment(source=source, size=size, records=records, expected=expected_of(records), sections=SECTIONS)

"""Session x engine: asks sessions what they want generated, hands it to an engine, gives back what came of it.

A session's second request is submitted the moment its first generation is in, while others are still being generated.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from zoom_iqa.base.types import ImageSample, Rollout, RolloutGroup
from zoom_iqa.engines.engine import Engine
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import ZoomSession, derive_seed


def collect(sessions: Iterable[ZoomSession], engine: Engine) -> list[Rollout]:
    """Run every session to its end; rollouts in the order of the sessions."""
    running = list(sessions)
    for number, session in enumerate(running):
        _submit(number, session, engine)
    while engine.busy:
        for generation in engine.step():
            prefix, _, key = generation.key.partition("|")
            session = running[int(prefix)]
            session.submit(replace(generation, key=key))
            _submit(int(prefix), session, engine)
    return [session.rollout() for session in running]


def collect_groups(
    samples: Sequence[ImageSample], *, engine: Engine, prompts: PromptSet, group_size: int, seed: int
) -> list[RolloutGroup]:
    """``group_size`` rollouts of every image under one question wording, drawn for the image.

    Everything random derives from ``seed``, the image's id, how often it occurred before in ``samples`` and the
    rollout's index: not from what else is in the batch.
    """
    occurrences: Counter[str] = Counter()
    sessions: list[ZoomSession] = []
    for sample in samples:
        name = f"{sample.item.dataset}:{sample.item.id}"
        image_seed = derive_seed(seed, name, occurrences[name])
        occurrences[name] += 1
        question = random.Random(image_seed).choice(prompts.questions)
        sessions.extend(
            ZoomSession(
                item=sample.item,
                image=sample.image,
                index=index,
                question=question,
                prompts=prompts,
                seed=derive_seed(image_seed, index),
            )
            for index in range(group_size)
        )
    rollouts = collect(sessions, engine)
    return [
        RolloutGroup(sample.item, tuple(rollouts[start : start + group_size]))
        for sample, start in zip(samples, range(0, len(rollouts), group_size), strict=True)
    ]


def _submit(number: int, session: ZoomSession, engine: Engine) -> None:
    request = session.next_request()
    if request is not None:
        # the same image may be in a batch twice: the session's number makes its keys unique
        engine.submit(replace(request, key=f"{number}|{request.key}"))

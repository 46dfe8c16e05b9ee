"""The text a tiny policy's tokenizer learns from: what the project asks, and what it writes about images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.types import ImagePart, TextPart, Truth
from zoom_iqa.data.supervised.rationales import RationaleWriter
from zoom_iqa.tasks.prompts import PromptSet, build_turn1, build_turn2


def project_texts(
    *, prompts: Sequence[PromptSet], writers: Sequence[RationaleWriter], rationales: int, seed: int
) -> Iterator[str]:
    """Every prompt of each set, and ``rationales`` written trajectories by each writer over random truths."""
    for prompt_set in prompts:
        yield from _prompt_texts(prompt_set)
    rng = np.random.default_rng(seed)
    kinds = [None, *DEFECTS]
    for writer in writers:
        for index in range(rationales):
            x, y = rng.uniform(0, 0.6, size=2)
            region = (x, y, x + 0.4, y + 0.4) if rng.random() < 0.3 else None
            kind = kinds[index % len(kinds)]
            truth = Truth(
                distortion=kind,
                level=rng.uniform(1, 5),
                region=None if kind is None else region,
            )
            yield from writer.write(truth, rng.uniform(1, 5), rng).texts


def _prompt_texts(prompts: PromptSet) -> Iterator[str]:
    from PIL import Image

    image = ImagePart(Image.new("RGB", (28, 28)), "any")
    for question in prompts.questions:
        turns = [
            build_turn1(prompts, question=question, image=image),
            build_turn2(prompts, question=question, turn1_output="", image=image, crop=image),
        ]
        for message in (message for turn in turns for message in turn):
            yield "".join(part.text for part in message.parts if isinstance(part, TextPart))

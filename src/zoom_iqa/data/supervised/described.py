"""A further turn of a written trajectory: the rating question about the description, without the image.

A large policy can be asked so at once; a tiny one has to learn that there are questions without an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.supervised.records import SupervisedTurn, supervised_turns
from zoom_iqa.data.supervised.two_turns import written_rating
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionTask
from zoom_iqa.tasks.description import OwnText, Strip, check_description, shown_words

THOUGHT = "from the text"


class DescribedTurn:
    """Writes the turn for a share ``rate`` of trajectories; ``text`` and ``strip`` are those of the probe.

    Raises:
        ConfigError: there is no such text or strip, or the rate is no share.
    """

    def __init__(self, *, prompts: CaptionPrompts, text: OwnText, strip: Strip, rate: float) -> None:
        check_description("data.trajectories.described", text=text, strip=strip)
        if not 0 <= rate <= 1:
            raise ConfigError(f"data.trajectories.described.rate={rate} must be from 0 to 1")
        self._task = CaptionTask(prompts=prompts)
        self._text, self._strip, self._rate = text, strip, rate

    def turns(
        self, example: Example, texts: Sequence[str], *, told: float, rng: np.random.Generator
    ) -> tuple[SupervisedTurn, ...]:
        """The turn about what ``texts`` say, or none; it tells the rating that they tell, ``told``."""
        words = shown_words(texts, text=self._text, strip=self._strip, captioned="<caption>" in texts[-1])
        if words is None or rng.random() >= self._rate:
            return ()
        session = self._task.rehearse(Sample(replace(example, references=(words,)), ()), rng)
        answer = f'<think>{THOUGHT}</think><answer>{{"rating": {written_rating(told)}}}</answer>'
        return supervised_turns(session, (answer,))

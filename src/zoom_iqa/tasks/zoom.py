"""The two-turn protocol of Zoom-IQA (arXiv 2601.02918): rate, crop when unsure, look closer, rate again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.types import (
    Ending,
    Generation,
    ImagePart,
    Message,
    Reading,
    Request,
    Rollout,
    Sample,
    Step,
    ToolCall,
)
from zoom_iqa.tasks.prompts import PromptSet, build_turn1, build_turn2
from zoom_iqa.tasks.reading import read_zoom_turn
from zoom_iqa.tasks.task import derive_seed, prompt_key
from zoom_iqa.tasks.tools.crop import Crop, crop_box, cut

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

MAX_TURNS = 2


class ZoomRules(Protocol):
    """The reading of a turn, and the crop that a call for a closer look shows."""

    def read(self, text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
        """Rating, crop call, format and places of digits of one turn; ``final_only`` is the second turn's rule."""
        ...

    def crop(self, image: Image, call: ToolCall) -> Crop:
        """The crop that a call asks for, or why there is none."""
        ...


class StrictRules:
    """Every key of an answer must be as the prompt asks for it; what the release takes beside that is refused."""

    def read(self, text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
        """See ``read_zoom_turn``."""
        return read_zoom_turn(text, sections=sections, final_only=final_only)

    def crop(self, image: Image, call: ToolCall) -> Crop:
        """The box by the crop policy, enlarged to the image's size."""
        box = crop_box(call.bbox, *image.size)
        return Crop.of(cut(image, box), box, whole=image.size)


class ZoomTask:
    """Rates one image in at most two turns under one of the question wordings of ``prompts``."""

    rules: ZoomRules = StrictRules()

    def __init__(self, *, prompts: PromptSet) -> None:
        self.prompts = prompts

    def open(self, sample: Sample, *, index: int, seed: int) -> ZoomSession:
        """The session of one rollout; the wording follows from ``seed``, so that a group shares it."""
        question = random.Random(seed).choice(self.prompts.questions)
        return self._session(sample, index, question, derive_seed(seed, index))

    def rehearse(self, sample: Sample, rng: np.random.Generator) -> ZoomSession:
        """A session for written texts, under a wording drawn from ``rng``."""
        question = self.prompts.questions[int(rng.integers(len(self.prompts.questions)))]
        return self._session(sample, 0, question, 0)

    def _session(self, sample: Sample, index: int, question: str, seed: int) -> ZoomSession:
        return ZoomSession(
            sample=sample, index=index, question=question, prompts=self.prompts, rules=self.rules, seed=seed
        )


class ZoomSession:
    """Drives the two-turn protocol for one rollout.

    Turn 1 shows the image; if its answer asks for a crop, turn 2 shows image and crop in a rebuilt conversation. An
    answer from which the next turn cannot be read ends the trajectory, and its reason is the rollout's ending; so does
    a crop that cannot be shown, and the first rating counts.
    """

    def __init__(
        self, *, sample: Sample, index: int, question: str, prompts: PromptSet, rules: ZoomRules, seed: int
    ) -> None:
        self._sample = sample
        self._index = index
        self._question = question
        self._prompts = prompts
        self._rules = rules
        self._seed = seed
        self._steps: list[Step] = []
        self._ending = Ending.FINAL
        prompt = build_turn1(prompts, question=question, image=sample.images[0])
        self._pending: Request | None = self._request(prompt)

    def next_request(self) -> Request | None:
        """The generation wanted now, the same until it is submitted; None when the trajectory is complete."""
        return self._pending

    def submit(self, generation: Generation) -> None:
        """Take the generation asked for and move on.

        Raises:
            SessionError: nothing is asked for, or ``generation.key`` is not the key of the request.
        """
        request, name = self._pending, self._sample.example.name
        if request is None:
            raise SessionError(f"{name}: submitted {generation.key!r} to a complete session; ask for its rollout")
        if generation.key != request.key:
            raise SessionError(f"{name}: submitted {generation.key!r}; the request pending is {request.key!r}")
        number = len(self._steps) + 1
        reading = self._rules.read(
            generation.text, sections=self._prompts.sections(number), final_only=number == MAX_TURNS
        )
        crop = self._crop(reading) if number < MAX_TURNS else None
        looks = () if crop is None else (crop.look,)
        self._steps.append(Step(request, generation, reading, looks))
        shown = None if crop is None else crop.image
        self._pending = None if shown is None else self._request_turn2(generation.text, shown)

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: a generation is still pending.
        """
        if self._pending is not None:
            name = self._sample.example.name
            raise SessionError(f"{name}: asked for a rollout while {self._pending.key!r} is pending; submit it")
        return Rollout(self._sample.example, self._index, tuple(self._steps), self._ending)

    def _crop(self, reading: Reading) -> Crop | None:
        """The crop that a first turn asks for, if it does; sets the ending if that cannot be told or shown."""
        if reading.call_failure is not None:
            self._ending = Ending(reading.call_failure.reason)
        if not reading.calls:
            return None
        crop = self._rules.crop(self._sample.image, reading.calls[0])
        if crop.image is None:
            self._ending = Ending.UNVIEWABLE
        return crop

    def _request_turn2(self, turn1_output: str, crop: Image) -> Request:
        prompt = build_turn2(
            self._prompts,
            question=self._question,
            turn1_output=turn1_output,
            image=self._sample.images[0],
            crop=ImagePart.of(crop),
        )
        return self._request(prompt)

    def _request(self, prompt: tuple[Message, ...]) -> Request:
        number = len(self._steps) + 1
        return Request(
            key=f"{self._sample.example.name}/{self._seed:016x}/{self._index}/turn{number}",
            prompt_key=prompt_key(prompt),
            prompt=prompt,
            seed=derive_seed(self._seed, number),
        )

"""One trajectory over an image as a state machine: it asks for generations and never makes them.

session = ZoomSession(...)
while (request := session.next_request()) is not None:
    session.submit(engine.generate(request))
rollout = session.rollout()
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from zoom_iqa.base.errors import FailureReason, ProtocolError, SessionError
from zoom_iqa.base.types import (
    Answer,
    Box,
    Generation,
    GenerationRequest,
    ImageItem,
    ImagePart,
    Message,
    ParseFailure,
    Rollout,
    Turn,
)
from zoom_iqa.tasks.answer import parse_answer, read_rating
from zoom_iqa.tasks.format import check_format
from zoom_iqa.tasks.prompts import PromptSet, build_turn1, build_turn2
from zoom_iqa.tasks.tools.crop import crop_box, crop_image

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TURNS = 2


class ZoomSession:
    """Drives the two-turn protocol for one rollout.

    Turn 1 shows the image; if its answer asks for a crop, turn 2 shows image and crop in a rebuilt conversation. An
    answer that cannot be parsed for routing ends the trajectory and is kept as ``Rollout.routing_warning``.
    """

    def __init__(
        self, *, item: ImageItem, image: Image, index: int, question: str, prompts: PromptSet, seed: int
    ) -> None:
        self._item = item
        self._image = image
        self._index = index
        self._question = question
        self._prompts = prompts
        self._seed = seed
        self._name = f"{item.dataset}:{item.id}"
        self._image_part = ImagePart(image, self._name)
        self._turns: list[Turn] = []
        self._warning: FailureReason | None = None
        prompt = build_turn1(prompts, question=question, image=self._image_part)
        self._pending: GenerationRequest | None = self._request(prompt, f"{self._name}/{question}")

    def next_request(self) -> GenerationRequest | None:
        """The generation wanted now, the same until it is submitted; None when the trajectory is complete."""
        return self._pending

    def submit(self, generation: Generation) -> None:
        """Take the generation asked for and move on.

        Raises:
            SessionError: nothing is asked for, or ``generation.key`` is not the key of the request.
        """
        request = self._pending
        if request is None:
            raise SessionError(f"{self._name}: submitted {generation.key!r} to a complete session; ask for its rollout")
        if generation.key != request.key:
            raise SessionError(f"{self._name}: submitted {generation.key!r}; the request pending is {request.key!r}")
        turn = self._read_turn(request, generation)
        self._turns.append(turn)
        self._pending = None if turn.box is None else self._request_turn2(turn, turn.box)

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: a generation is still pending.
        """
        if self._pending is not None:
            raise SessionError(f"{self._name}: asked for a rollout while {self._pending.key!r} is pending; submit it")
        return Rollout(self._item, self._index, tuple(self._turns), self._warning)

    def _read_turn(self, request: GenerationRequest, generation: Generation) -> Turn:
        number = len(self._turns) + 1
        answer = answer_or_failure(generation.text)
        box: Box | None = None
        if number < MAX_TURNS:
            if isinstance(answer, ParseFailure):
                self._warning = answer.reason
            elif answer.wants_crop:
                box = crop_box(answer.bbox, *self._image.size)
        report = check_format(generation.text, sections=self._prompts.sections(number), final_only=number == MAX_TURNS)
        return Turn(
            prompt=request.prompt,
            prompt_key=request.prompt_key,
            generation=generation,
            answer=answer,
            rating=rating_or_failure(generation.text),
            well_formed=report.ok,
            box=box,
        )

    def _request_turn2(self, turn1: Turn, box: Box) -> GenerationRequest:
        assert isinstance(turn1.answer, Answer)  # a box comes from a parsed answer
        where = ",".join(str(side) for side in box)
        crop = ImagePart(crop_image(self._image, turn1.answer.bbox), f"{self._name}@{where}")
        output = turn1.generation.text
        prompt = build_turn2(
            self._prompts, question=self._question, turn1_output=output, image=self._image_part, crop=crop
        )
        digest = hashlib.sha256(output.encode("utf-8", "surrogatepass")).hexdigest()
        return self._request(prompt, f"{self._name}/{self._question}@{where}/{digest}")

    def _request(self, prompt: tuple[Message, ...], prompt_key: str) -> GenerationRequest:
        number = len(self._turns) + 1
        return GenerationRequest(
            key=f"{self._name}/{self._index}/turn{number}",
            prompt_key=prompt_key,
            prompt=prompt,
            seed=derive_seed(self._seed, number),
        )


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) from any parts, the same on every machine and in every process."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def answer_or_failure(text: str) -> Answer | ParseFailure:
    """The strict routing parse of a text, or why there is none."""
    try:
        return parse_answer(text)
    except ProtocolError as error:
        return ParseFailure(error.reason, error.detail)


def rating_or_failure(text: str) -> float | ParseFailure:
    """The rating that a text holds, or why there is none."""
    try:
        return read_rating(text)
    except ProtocolError as error:
        return ParseFailure(error.reason, error.detail)

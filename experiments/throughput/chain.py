"""A conversation that grows, as the benchmark's third setting: a question about an image, crops, a last word.

Each turn's prompt is the one before, what was answered, and a new message; nothing is parsed, so that random weights
can play it.
"""

from __future__ import annotations

import zlib

import torch

import zoom_iqa.engines.native.cohort as cohort
import zoom_iqa.engines.native.prefill as prefill
import zoom_iqa.policy.packing as packing
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
    TextPart,
)
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.prefix_tree import TokenSequence, sequence_of
from zoom_iqa.tasks.task import derive_seed, prompt_key

MOST_TURNS = 6
BOXES = ((0.0, 0.0, 0.5, 0.5), (0.4, 0.4, 0.9, 0.9), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0))


class ChainTask:
    """So many turns under one question; all but the first and the last show a crop as large as the image."""

    def __init__(self, question: str, turns: int) -> None:
        self._question, self._turns = question, turns

    def open(self, sample: Sample, *, index: int, seed: int) -> ChainSession:
        return ChainSession(sample, self._question, self._turns, index, derive_seed(seed, index))


class ChainSession:
    def __init__(self, sample: Sample, question: str, turns: int, index: int, seed: int) -> None:
        self._sample, self._turns, self._index, self._seed = sample, turns, index, seed
        self._steps: list[Step] = []
        self._pending: Request | None = self._request(first_message(sample.images[0], question))

    def next_request(self) -> Request | None:
        return self._pending

    def submit(self, generation: Generation) -> None:
        assert self._pending is not None
        before = self._pending.prompt
        reading = Reading(well_formed=True, spans={"numbers": ()})
        self._steps.append(Step(self._pending, generation, reading))
        turn, self._pending = len(self._steps), None
        if turn < self._turns:
            answer = Message("assistant", (TextPart(generation.text),))
            following = next_message(self._sample.images[0], turn, turns=self._turns)
            self._pending = self._request((*before, answer, following))

    def rollout(self) -> Rollout:
        return Rollout(self._sample.example, self._index, tuple(self._steps), Ending.FINAL)

    def _request(self, prompt: tuple[Message, ...]) -> Request:
        turn = len(self._steps) + 1
        key = f"{self._sample.example.name}/{self._seed:x}/turn{turn}"
        return Request(key, prompt_key(prompt), prompt, derive_seed(self._seed, turn))


def first_message(image: ImagePart, question: str) -> tuple[Message, ...]:
    return (Message("user", (TextPart("? " + question), image)),)


def next_message(image: ImagePart, turn: int, *, turns: int) -> Message:
    """What follows on a turn's answer, by the turn's number from 1."""
    if turn == turns - 1:
        return Message("user", (TextPart("rate the image"),))
    width, height = image.image.size
    x1, y1, x2, y2 = BOXES[turn - 1]
    crop = image.image.crop((int(x1 * width), int(y1 * height), int(x2 * width), int(y2 * height)))
    part = ImagePart.of(crop.resize(image.image.size))
    return Message("user", (TextPart("a closer look "), part))


def say_digits_alone(policy: Policy) -> None:
    """Ban all tokens but digits, which are encoded one by one, so that what was said is encoded as it was said.

    A trained policy does so anyway; random weights spell words in tokens that their encoding has otherwise.
    """
    digits = {policy.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"}
    policy.banned_ids = tuple(i for i in range(policy.model.config.get_text_config().vocab_size) if i not in digits)


def share_equal_prompts_alone() -> None:
    """Tell all tokens of different prompts apart, so that a prompt shares nothing with one it extends."""

    def told_apart(prompt: EncodedPrompt, completion_C: torch.Tensor) -> TokenSequence:
        sequence = sequence_of(prompt, completion_C)
        sequence.tokens_5L[1] += zlib.crc32(sequence.tokens_5L[:, : len(prompt.ids_L)].tobytes())
        return sequence

    for module in (packing, prefill, cohort):
        module.sequence_of = told_apart  # type: ignore[attr-defined]

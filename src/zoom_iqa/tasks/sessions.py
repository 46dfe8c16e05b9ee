"""Parts that tasks share: a question in one of several wordings, and the state of a session between two answers."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.types import Ending, Example, Generation, Message, Reading, Request, Rollout, Sample, Step
from zoom_iqa.tasks.task import Session, derive_seed, prompt_key

if TYPE_CHECKING:
    import numpy as np


class WordedTask(ABC):
    """A task that asks in one of several wordings; those who implement it say what a session is."""

    @property
    @abstractmethod
    def questions(self) -> Sequence[str]:
        """The wordings."""

    @abstractmethod
    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> Session:
        """The session under one wording; all that is sampled in it follows from ``seed``."""

    def open(self, sample: Sample, *, index: int, seed: int) -> Session:
        """The session of one rollout; the wording follows from ``seed``, so that a group shares it."""
        question = random.Random(seed).choice(self.questions)
        return self.session(sample, index=index, question=question, seed=derive_seed(seed, index))

    def rehearse(self, sample: Sample, rng: np.random.Generator) -> Session:
        """A session for written texts, under a wording drawn from ``rng``."""
        question = self.questions[int(rng.integers(len(self.questions)))]
        return self.session(sample, index=0, question=question, seed=0)


class TurnSession(ABC):
    """One trajectory between two answers; those who implement it say what follows an answer."""

    def __init__(self, *, example: Example, index: int) -> None:
        self._example, self._index = example, index
        self._steps: list[Step] = []
        self._ending = Ending.FINAL
        self._pending: Request | None = None

    @abstractmethod
    def _answered(self, request: Request, generation: Generation) -> None:
        """Add the step that an answer makes, and make the next request or set the ending."""

    def next_request(self) -> Request | None:
        """The generation wanted now, the same until it is submitted; None when the trajectory is complete."""
        return self._pending

    @property
    def steps(self) -> tuple[Step, ...]:
        """The turns that have been answered."""
        return tuple(self._steps)

    def submit(self, generation: Generation) -> None:
        """Take the generation asked for and move on.

        Raises:
            SessionError: nothing is asked for, or ``generation.key`` is not the key of the request.
        """
        request = self._pending
        said = f"{self._example.name}: submitted {generation.key!r}, which is not asked for"
        if request is None:
            raise SessionError(f"{said}, to a complete session; ask for its rollout")
        if generation.key != request.key:
            raise SessionError(f"{said}; the request pending is {request.key!r}")
        self._pending = None
        self._answered(request, generation)

    def _request(self, prompt: tuple[Message, ...], *, seed: int) -> Request:
        """The request of the turn that comes next."""
        turn = len(self._steps) + 1
        return request_of(prompt, example=self._example, index=self._index, seed=seed, turn=turn)

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: a generation is still pending.
        """
        if self._pending is not None:
            raise SessionError(
                f"{self._example.name}: asked for a rollout before an answer: {self._pending.key!r} is pending; "
                "submit it"
            )
        return Rollout(self._example, self._index, self.steps, self._ending)


class QuestionSession(TurnSession):
    """One question, whose answer ``read`` reads."""

    def __init__(self, *, example: Example, index: int, request: Request, read: Callable[[str], Reading]) -> None:
        super().__init__(example=example, index=index)
        self._read, self._pending = read, request

    def _answered(self, request: Request, generation: Generation) -> None:
        self._steps.append(Step(request, generation, self._read(generation.text)))


def request_of(
    prompt: tuple[Message, ...], *, example: Example, index: int, seed: int, turn: int, name: str | None = None
) -> Request:
    """The request of a rollout's turn, counted from 1; ``name`` stands in its key where it is not the turn's number."""
    return Request(
        key=f"{example.name}/{seed:016x}/{index}/{name or f'turn{turn}'}",
        prompt_key=prompt_key(prompt),
        prompt=prompt,
        seed=derive_seed(seed, turn),
    )

"""A session of one question and one answer, read by a function of one's own."""

from __future__ import annotations

from collections.abc import Callable

from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Ending, Example, Generation, Message, Reading, Request, Rollout, Step
from zoom_iqa.tasks.task import derive_seed, prompt_key


class QuestionSession:
    """Asks ``prompt`` of ``speaker`` once; ``name`` tells questions about one example apart."""

    def __init__(
        self,
        *,
        example: Example,
        name: str,
        prompt: tuple[Message, ...],
        speaker: str,
        seed: int,
        sampling: SamplingParams | None,
        read: Callable[[str], Reading],
    ) -> None:
        self._example, self._read = example, read
        self._request = Request(
            key=f"{example.name}/{name}",
            prompt_key=prompt_key(prompt),
            prompt=prompt,
            seed=derive_seed(seed, example.name, name),
            speaker=speaker,
            sampling=sampling,
        )
        self._step: Step | None = None

    def next_request(self) -> Request | None:
        """The question, until it is answered."""
        return self._request if self._step is None else None

    def submit(self, generation: Generation) -> None:
        """Take the answer.

        Raises:
            SessionError: there is one already, or it answers another request.
        """
        if self._step is not None or generation.key != self._request.key:
            raise SessionError(f"{self._request.key}: submitted {generation.key!r}, which is not asked for")
        self._step = Step(self._request, generation, self._read(generation.text))

    def rollout(self) -> Rollout:
        """The question with its answer.

        Raises:
            SessionError: there is no answer yet.
        """
        if self._step is None:
            raise SessionError(f"{self._request.key}: asked for a rollout before an answer")
        return Rollout(self._example, 0, (self._step,), Ending.FINAL)

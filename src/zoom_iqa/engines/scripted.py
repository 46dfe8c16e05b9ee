"""An engine that says what it is told: for tests and for looking at the protocol without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.policy.policy import Policy

Script = Mapping[str, str] | Callable[[Request], str]
"""Texts by request key, or a function of the request."""


class ScriptedEngine:
    """Returns written texts as generations whose log-probabilities are all zero (a certain policy).

    A text ends where it ends, or at the most new tokens its request allows. Without a policy a text's characters stand
    for its tokens. One generation a step, the oldest first.
    """

    def __init__(self, *, script: Script, sampling: SamplingParams, policy: Policy | None) -> None:
        self.sampling = sampling
        self._script = script
        self._policy = policy
        self._waiting: list[Request] = []

    @property
    def busy(self) -> bool:
        """Whether a request waits for its text."""
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def step(self) -> list[Generation]:
        """Answer the oldest request; KeyError when the script has no text for it."""
        if not self._waiting:
            return []
        request = self._waiting.pop(0)
        text = self._script(request) if callable(self._script) else self._script[request.key]
        sampling = request.sampled_by(self.sampling)
        whole = list(map(ord, text)) if self._policy is None else self._policy.completion_ids(text)
        ids = tuple(whole[: sampling.max_new_tokens])
        zeros = (0.0,) * len(ids)
        if len(ids) == len(whole):
            return [Generation(request.key, text, ids, zeros, zeros, "stop")]
        cut = "".join(map(chr, ids)) if self._policy is None else self._policy.decode(ids)
        return [Generation(request.key, cut, ids, zeros, zeros, "length")]

    def refresh(self) -> None:
        """Nothing depends on weights."""

    def release(self) -> None:
        """Nothing is kept."""

"""The parts of a server's reply: text, the reason of its end, log-probabilities, numbers of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openai.types.chat import ChatCompletion

from zoom_iqa.base.types import Finish

FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refused"}


class BrokenReplyError(Exception):
    """A reply without the parts of one; it may be whole the next time. Its tokens are paid for like others'."""

    def __init__(self, said: str, *, input_tokens: int, output_tokens: int) -> None:
        super().__init__(said)
        self.input_tokens, self.output_tokens = input_tokens, output_tokens


@dataclass(frozen=True)
class Reply:
    """``logprobs`` and ``entropies`` in nats, a token each, None where the server gives none.

    A token's entropy is over the alternatives that the server lists, all others counted as one: at most the true one.
    """

    text: str
    finish: Finish
    logprobs: tuple[float, ...] | None
    entropies: tuple[float, ...] | None
    input_tokens: int
    output_tokens: int
    answered_by: str | None


def read_reply(response: Any, *, stop_strings: Sequence[str]) -> Reply:
    """The reply in a response, its text cut behind the first of ``stop_strings``.

    Servers leave a stop string out of what they return, so none is sent to them.

    Raises:
        BrokenReplyError: there is no text in it.
    """
    usage = getattr(response, "usage", None)
    read, written = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    if not isinstance(response, ChatCompletion) or not getattr(response, "choices", None):
        raise BrokenReplyError("the reply has no choices", input_tokens=read, output_tokens=written)
    choice = response.choices[0]
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    finish: Finish | None = "refused" if refusal else FINISHES.get(str(getattr(choice, "finish_reason", None)))
    thought, content = _thought(message), getattr(message, "content", None)
    text = refusal or (f"{thought}{content or ''}" if thought else content)
    if finish == "refused" and text is None:
        text = ""
    if finish == "length" and text is None:
        text = ""  # all tokens went into a thought that is not shown
    if not isinstance(text, str) or finish is None:
        said = f"the reply has no text, and ends with {getattr(choice, 'finish_reason', None)!r}"
        raise BrokenReplyError(said, input_tokens=read, output_tokens=written)
    end = _end(text, stop_strings)
    listed = getattr(getattr(choice, "logprobs", None), "content", None) or None
    unspelled = 0 if refusal else len(thought)  # the tokens are those of the content
    kept = None if listed is None else _covering(listed, (len(text) if end is None else end) - unspelled)
    return Reply(
        text=text if end is None else text[:end],
        finish=finish if end is None else "stop",
        logprobs=None if kept is None else tuple(float(token.logprob) for token in kept),
        entropies=None if kept is None else tuple(_entropy(token) for token in kept),
        input_tokens=read,
        output_tokens=written,
        answered_by=getattr(response, "model", None),
    )


def _thought(message: Any) -> str:
    """The thought that some servers cut out of the text, back between its tags; empty where the text has it."""
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if not thought or not isinstance(thought, str) or "<think>" in (getattr(message, "content", None) or ""):
        return ""
    return f"<think>{thought}</think>"


def _end(text: str, stop_strings: Sequence[str]) -> int | None:
    ends = [text.find(stop) + len(stop) for stop in stop_strings if stop in text]
    return min(ends, default=None)


def _covering(tokens: Sequence[Any], characters: int) -> Sequence[Any]:
    """The tokens up to the one that spells character number ``characters``."""
    spelled = 0
    for number, token in enumerate(tokens):
        if spelled >= characters:
            return tokens[:number]
        spelled += len(token.token)
    return tokens


def _entropy(token: Any) -> float:
    listed = [math.exp(option.logprob) for option in token.top_logprobs or ()] or [math.exp(token.logprob)]
    rest = max(0.0, 1.0 - sum(listed))
    return -sum(p * math.log(p) for p in (*listed, rest) if p > 0)

"""The parts of a server's reply: text, the reason of its end, log-probabilities, numbers of tokens."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from openai.types.chat import ChatCompletion

from zoom_iqa.base.types import Finish

_HALVES = re.compile("[\ud800-\udfff]")
ROUNDING = 1e-3
"""Of a log-probability of 0, in the precision of servers."""
FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refused"}


class BrokenReplyError(Exception):
    """A reply without the parts of one; it may be whole the next time. Its tokens are paid for like others'."""

    def __init__(self, said: str, *, usage: Usage | None = None) -> None:
        super().__init__(said)
        self.usage = usage


@dataclass(frozen=True)
class Usage:
    """The tokens that the server has counted."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Reply:
    """``logprobs`` and ``entropies`` in nats, a token each, None where the server gives none.

    A token's entropy is over the alternatives that the server lists, all others counted as one: at most the true one.
    ``usage`` is None where the server does not say it.
    """

    text: str
    finish: Finish
    logprobs: tuple[float, ...] | None
    entropies: tuple[float, ...] | None
    usage: Usage | None
    answered_by: str | None


def read_reply(response: Any, *, stop_strings: Sequence[str]) -> Reply:
    """The reply in a response, its text cut behind the first of ``stop_strings``.

    Servers leave a stop string out of what they return, so none is sent to them.

    Raises:
        BrokenReplyError: there is no text in it.
    """
    usage = _usage(getattr(response, "usage", None))
    choices = getattr(response, "choices", None)
    if not isinstance(response, ChatCompletion) or not isinstance(choices, list) or not choices:
        raise BrokenReplyError("the reply has no choices", usage=usage)
    choice = choices[0]
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    finish: Finish | None = "refused" if refusal else FINISHES.get(str(getattr(choice, "finish_reason", None)))
    thought, content = "" if refusal else _thought(message), getattr(message, "content", None)
    text = refusal or (f"{thought}{content or ''}" if thought else content)
    if finish == "refused" and text is None:
        text = ""
    if finish == "length" and text is None:
        text = ""  # all tokens went into a thought that is not shown
    if not isinstance(text, str):
        raise BrokenReplyError("the reply has no text", usage=usage)
    if finish is None:
        given = getattr(choice, "finish_reason", None)
        raise BrokenReplyError(f"the reply ends with {given!r}, which is none of {', '.join(FINISHES)}", usage=usage)
    text = writable(text)
    end = _end(text, stop_strings)
    listed = _tokens(getattr(getattr(choice, "logprobs", None), "content", None))
    begin = len(thought)  # the figures are of the content's tokens
    kept = None if listed is None else _covering(listed, text[begin:end], ending=text[begin:] if thought else None)
    return Reply(
        text=text if end is None else text[:end],
        finish=finish if end is None else "stop",
        logprobs=None if kept is None else tuple(float(token.logprob) for token in kept),
        entropies=None if kept is None else tuple(_entropy(token) for token in kept),
        usage=usage,
        answered_by=writable(model) if isinstance(model := getattr(response, "model", None), str) else None,
    )


def writable(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can say and no file can hold."""
    return _HALVES.sub("\ufffd", text)


def _usage(usage: Any) -> Usage | None:
    counts: list[Any] = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    whole = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
    return Usage(*counts) if whole else None


def _tokens(listed: Any) -> Sequence[Any] | None:
    """The tokens with their log-probabilities; None where the server lists none, or something else."""
    return listed if isinstance(listed, list) and listed and all(map(_is_token, listed)) else None


def _is_token(token: Any) -> bool:
    options = getattr(token, "top_logprobs", None) or []
    return (
        isinstance(getattr(token, "token", None), str)
        and _is_logprob(getattr(token, "logprob", None))
        and math.isfinite(token.logprob)
        and isinstance(options, list)
        and all(_is_logprob(getattr(option, "logprob", None)) for option in options)
    )


def _is_logprob(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= ROUNDING


def _thought(message: Any) -> str:
    """The thought that some servers cut out of the text, back between its tags; empty where the text has it."""
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if not thought or not isinstance(thought, str) or "<think>" in (getattr(message, "content", None) or ""):
        return ""
    return f"<think>{thought}</think>"


def _end(text: str, stop_strings: Sequence[str]) -> int | None:
    ends = [text.find(stop) + len(stop) for stop in stop_strings if stop in text]
    return min(ends, default=None)


def _covering(tokens: Sequence[Any], text: str, *, ending: str | None) -> Sequence[Any] | None:
    """The tokens up to the one that ends a text; None where that is unknown.

    Servers that cut a thought out list its tokens before the content's, or leave them out: the text then begins where
    the content, ``ending``, stands last among what the tokens spell. Elsewhere it begins with the first token.
    """
    spelled = _spelled(tokens)
    if spelled is None:
        return None
    if not text:
        return tokens[:0]
    start = 0 if ending is None else b"".join(spelled).rfind(ending.encode())
    ends, last = list(accumulate(map(len, spelled))), start + len(text.encode())
    if start < 0 or ends[-1] < last:
        return None
    return tokens[bisect_right(ends, start) if start else 0 : bisect_left(ends, last) + 1]


def _spelled(tokens: Sequence[Any]) -> list[bytes] | None:
    """The bytes of each token; None where a piece of a character is shown by a mark in its place."""
    given: list[Any] = [getattr(token, "bytes", None) for token in tokens]
    if all(isinstance(one, list) and all(0 <= value < 256 for value in one) for one in given):
        return [bytes(one) for one in given]
    return None if any("\ufffd" in token.token for token in tokens) else [writable(t.token).encode() for t in tokens]


def _entropy(token: Any) -> float:
    listed = [math.exp(option.logprob) for option in token.top_logprobs or ()] or [math.exp(token.logprob)]
    rest = max(0.0, 1.0 - sum(listed))
    return -sum(p * math.log(p) for p in (*listed, rest) if p > 0)

"""A reply's JSON within a time and a size: a server may send a byte now and then, or more than memory holds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from zoom_iqa.engines.chat_api.replies import BrokenReplyError

DROPPED = frozenset({"ReadError", "WriteError", "CloseError", "RemoteProtocolError"})
"""Errors of a connection after it was made, by name, as httpx and httpx2 share these and no class."""
TIMED_OUT = "ReadTimeout"
UNREADABLE = "DecodingError"
MOST_BYTES = 64 * 2**20
"""Of a reply: the longest answers with log-probabilities have a few of these megabytes."""


def fetched(client: openai.OpenAI, body: Mapping[str, Any], *, timeout_s: float) -> ChatCompletion:
    """What the server replies, in ``timeout_s`` seconds from its first byte; nothing in it is checked.

    Raises:
        openai.OpenAIError: the server refuses the request, drops it, or takes longer.
        BrokenReplyError: it is no JSON object, or too long.
    """
    try:
        with client.chat.completions.with_streaming_response.create(**body) as response:
            last, raw = time.monotonic() + timeout_s, bytearray()
            for part in response.iter_bytes():
                raw += part
                if time.monotonic() > last:
                    raise openai.APITimeoutError(request=response.http_request)
                if len(raw) > MOST_BYTES:
                    raise BrokenReplyError(f"the reply is longer than {MOST_BYTES:,} bytes")
    except Exception as error:
        _raise_as_openai(error)
        raise
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BrokenReplyError(f"the reply is no JSON ({error})") from error
    if not isinstance(said, dict):
        raise BrokenReplyError("the reply is no JSON object")
    return ChatCompletion.construct(**said)


def _raise_as_openai(error: Exception) -> None:
    """Errors while a body is read come as httpx's own."""
    name, request = type(error).__name__, getattr(error, "_request", None)
    if name == TIMED_OUT:
        raise openai.APITimeoutError(request=request) from error  # type: ignore[arg-type]
    if name in DROPPED:
        raise openai.APIConnectionError(request=request) from error  # type: ignore[arg-type]
    if name == UNREADABLE:
        raise BrokenReplyError(f"the reply cannot be unpacked ({error})") from error

"""An engine whose answers come from a server that speaks OpenAI's chat protocol: Gemini's, vLLM, llama.cpp, others."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from zoom_iqa.base.errors import ConfigError, ServerError
from zoom_iqa.base.ranges import require_whole
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.cached import CachedEngine
from zoom_iqa.engines.chat_api.budget import Budget, Ledger
from zoom_iqa.engines.chat_api.calls import LENGTH_KEYS, Caller, Pace, RefusedRequestError, UnansweredRequestError
from zoom_iqa.engines.chat_api.messages import chat_messages, data_uri, size_alone
from zoom_iqa.engines.chat_api.replies import Reply
from zoom_iqa.engines.chat_api.request_log import RequestLog
from zoom_iqa.engines.speaker import Speaking

OPTIONAL = ("temperature", "top_p", "seed")
ALTERNATIVES = 20
"""Tokens whose log-probabilities are asked for at each place, the most that servers give."""
SEED_BITS = 31
OPENAI = "https://api.openai.com/v1"
"""The address where ``base_url`` is null."""
POLL_S = 0.002
"""Short, as an engine of ours may be decoding in the same loop."""
NO_KEY = "none"
"""Sent where no key is set: servers of one's own ask for none, the client for some."""
PROBE = ({"role": "user", "content": "Reply with the word yes."},)
MOST_PROBES = 2
"""With log-probabilities, and without where they are refused."""
MOST_UNANSWERED = 20
"""Requests in a row without an answer, each after all its attempts, before a server counts as out of order."""


@dataclass(frozen=True, kw_only=True)
class ChatServer:
    """A model behind an address, and how it is asked.

    The key is read from the environment variable ``key_variable`` and kept nowhere. ``leave_out`` are keys that the
    model refuses (temperature, top_p, seed), ``extra`` further keys of the body; ``length_key`` names the limit of
    tokens. Images have at most ``max_pixels`` pixels. ``log_probabilities`` asks for them where the server has them.

    Raises:
        ConfigError: a value is wrong.
    """

    model: str
    base_url: str | None
    key_variable: str
    concurrency: int
    requests_per_minute: float | None
    timeout_s: float
    attempts: int
    longest_wait_s: float
    max_pixels: int
    length_key: str
    leave_out: Sequence[str]
    extra: Mapping[str, Any]
    log_probabilities: bool
    budget: Budget

    def __post_init__(self) -> None:
        object.__setattr__(self, "leave_out", tuple(self.leave_out))
        for name in ("concurrency", "attempts", "max_pixels"):
            require_whole(name, getattr(self, name), least=1)
        for name in ("requests_per_minute", "timeout_s", "longest_wait_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name}={value} must be above 0")
        address = urlsplit(self.base_url or OPENAI)
        if address.username is not None or address.password is not None or address.query:
            raise ConfigError(
                "base_url holds a name, a password or a query, which would be kept with the answers; give the address "
                f"alone, and a key in {self.key_variable}"
            )
        if self.length_key not in LENGTH_KEYS:
            raise ConfigError(f"length_key={self.length_key} must be {' or '.join(LENGTH_KEYS)}")
        unknown = [key for key in self.leave_out if key not in OPTIONAL]
        if unknown:
            raise ConfigError(f"leave_out={unknown[0]} must be one or more of {', '.join(OPTIONAL)}")

    @property
    def identity(self) -> str:
        """All of it that decides a reply."""
        kept = ("model", "base_url", "max_pixels", "length_key", "leave_out", "log_probabilities")
        values = {name: getattr(self, name) for name in kept}
        return json.dumps({**values, "extra": _plain(self.extra)}, sort_keys=True)

    def options(self, sampling: SamplingParams, seed: int) -> dict[str, Any]:
        """The keys of a request that say how tokens are drawn; ``top_k`` and stop strings have none."""
        wanted: dict[str, Any] = {
            "temperature": 0.0 if sampling.greedy else sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed % 2**SEED_BITS,
        }
        kept = {key: value for key, value in wanted.items() if key not in self.leave_out}
        return {"model": self.model, self.length_key: sampling.max_new_tokens, **kept}

    @contextmanager
    def opened(self, folder: Path, *, name: str, sampling: SamplingParams) -> Iterator[Speaking]:
        """The engine with its memory and its log: ``<name>_replies.jsonl`` and ``<name>_requests.jsonl``."""
        with RequestLog(folder / f"{name}_requests.jsonl") as log:
            ledger = Ledger(self.budget, before=log.spent)
            engine = ChatEngine(server=self, sampling=sampling, ledger=ledger, log=log)
            with CachedEngine(engine, identity=self.identity, path=folder / f"{name}_replies.jsonl") as cached:
                yield Speaking(cached, lambda: _cost(name, ledger))


class ChatEngine:
    """Sends requests from ``concurrency`` threads and returns their answers as they come.

    An answer that cannot be had after every attempt is a generation that ``failed``; one the server declines is
    ``refused``. The first request is preceded by a short one that learns whether the server takes requests of this
    form and gives log-probabilities. So is one that cannot be had followed: a server that does not answer the short one
    either, or ``MOST_UNANSWERED`` others in a row, is out of order. Threads end with the process.

    Raises:
        ServerError, BudgetError, ConfigError: in ``step``, when no request would be answered; answers that are under
            way are given back before.
    """

    def __init__(self, *, server: ChatServer, sampling: SamplingParams, ledger: Ledger, log: RequestLog) -> None:
        self.sampling = sampling
        self._server = server
        key = _key_in(server.key_variable)
        client = openai.OpenAI(
            api_key=key or NO_KEY,
            base_url=server.base_url or OPENAI,  # whatever the environment says: the address is a part of answers
            timeout=server.timeout_s,
            max_retries=0,  # ours count, wait and log
        )
        self._call = Caller(
            client=client,
            key=key,
            key_variable=server.key_variable,
            attempts=server.attempts,
            timeout_s=server.timeout_s,
            longest_wait_s=server.longest_wait_s,
            pace=Pace(server.requests_per_minute),
            ledger=ledger,
            log=log,
        )
        self._asked: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Generation | Exception | None] = queue.SimpleQueue()
        self._unfinished = 0
        self._error: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._has_logprobs: bool | None = None
        self._unanswered, self._counting = 0, threading.Lock()

    @property
    def identity(self) -> str:
        """All of it but the request that decides a reply."""
        return self._server.identity

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._unfinished > 0 or self._error is not None

    def submit(self, request: Request) -> None:
        """Queue a request; the first learns what the server can do.

        Raises:
            ServerError, BudgetError, ConfigError: the server answers no request.
        """
        if self._has_logprobs is None:
            self._has_logprobs = self._probe()
        if len(self._threads) < self._server.concurrency:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        self._unfinished += 1
        self._asked.put(request)

    def step(self) -> list[Generation]:
        """The answers that have come, after a short wait for one."""
        finished: list[Generation] = []
        while self._unfinished:
            try:
                ended = self._ended.get(timeout=None if self._error else 0.0 if finished else POLL_S)
            except queue.Empty:
                break
            self._unfinished -= 1
            if isinstance(ended, Exception):
                self._error = self._error or ended
            elif ended is not None:
                finished.append(ended)
        if self._error is not None and not self._unfinished and not finished:
            error, self._error = self._error, None
            raise error
        return finished

    def refresh(self) -> None:
        """No weights of ours are behind it."""

    def release(self) -> None:
        """Nothing is kept."""

    def _work(self) -> None:
        while True:
            request = self._asked.get()
            try:
                self._ended.put(None if self._error else self._answer(request))
            except Exception as error:  # noqa: BLE001  # raised in `step`, in the thread that asked
                self._error = self._error or error
                self._ended.put(error)

    def _answer(self, request: Request) -> Generation:
        sampling = request.sampled_by(self.sampling)
        options = self._server.options(sampling, request.seed)
        if self._has_logprobs:
            options.update(logprobs=True, top_logprobs=ALTERNATIVES)
        form = partial(data_uri, max_pixels=self._server.max_pixels)
        body = {**options, "messages": chat_messages(request.prompt, form), "extra_body": _plain(self._server.extra)}
        shown = {**options, "messages": chat_messages(request.prompt, size_alone)}
        reply, unanswered = None, None
        try:
            reply = self._call(request.key, body, shown=shown, stop_strings=sampling.stop_strings)
        except RefusedRequestError:
            pass  # of this request alone, as the first was taken; the log says why
        except UnansweredRequestError as error:
            self._require_answering()  # where it is, this is of the one request alone
            unanswered = error
        self._count(unanswered)
        if reply is None:
            return Generation(request.key, "", None, None, None, "failed")
        return Generation(request.key, reply.text, None, reply.logprobs, reply.entropies, reply.finish)

    def _count(self, error: UnansweredRequestError | None) -> None:
        """Requests in a row without an answer; one that is refused was answered."""
        with self._counting:
            self._unanswered = 0 if error is None else self._unanswered + 1
            if self._unanswered >= MOST_UNANSWERED:
                raise ServerError(
                    f"base_url={self._server.base_url} answered none of {self._unanswered} requests in a row, the last "
                    f"with {error}; wait, or put the server in order: the same command goes on"
                )

    def _probe(self) -> bool:
        """Whether the server gives log-probabilities, from a short request, or ``MOST_PROBES`` where one is refused."""
        if self._server.log_probabilities:
            try:
                reply = self._ask_probe(logprobs=True, top_logprobs=ALTERNATIVES)
            except RefusedRequestError:
                pass  # it refuses log-probabilities, or any request of this form: the next will tell
            else:
                self._require_counted(reply)
                return reply.logprobs is not None
        try:
            self._require_counted(self._ask_probe())
        except RefusedRequestError as error:
            raise ServerError(
                f"model={self._server.model} refuses requests of this form: {error}; "
                "see length_key, leave_out and extra of its config"
            ) from error
        return False

    def _require_answering(self) -> None:
        try:
            self._ask_probe()
        except RefusedRequestError as error:
            raise ServerError(
                f"base_url={self._server.base_url} refuses a short request that it took before: {error}; wait, or put "
                "the server in order: the same command goes on"
            ) from error

    def _require_counted(self, reply: Reply) -> None:
        limited = next((name for name in ("tokens", "money") if getattr(self._server.budget, name) is not None), None)
        if reply.usage is None and limited is not None:
            raise ConfigError(
                f"budget.{limited}: this server does not say how many tokens it takes; limit budget.requests instead"
            )

    def _ask_probe(self, **more: Any) -> Reply:
        body = {**self._server.options(self.sampling, 0), **more, "messages": list(PROBE)}
        try:
            return self._call(
                "probe", {**body, "extra_body": _plain(self._server.extra)}, shown=body, stop_strings=("yes",)
            )
        except UnansweredRequestError as error:
            raise ServerError(
                f"base_url={self._server.base_url} did not answer a short request in {self._server.attempts} "
                f"attempts, at last with {error}; wait, or put the server in order: the same command goes on"
            ) from error


def _cost(name: str, ledger: Ledger) -> dict[str, float]:
    spent = ledger.spent
    return {
        f"{name}_requests": spent.requests,
        f"{name}_input_tokens": spent.input_tokens,
        f"{name}_output_tokens": spent.output_tokens,
        f"{name}_money": ledger.budget.cost(spent),
    }


def _key_in(variable: str) -> str | None:
    """The key in an environment variable, without the line's end that a file may have left behind it.

    Raises:
        ConfigError: no header can hold it.
    """
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(f"{variable} holds characters that no key has, such as a space or a letter beyond ASCII")
    return key or None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in values.items()}

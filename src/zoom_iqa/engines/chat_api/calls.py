"""One request to a server: made again while it may pass, typed where it does not, an error where none would."""

from __future__ import annotations

import datetime
import email.utils
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import openai
import tenacity

from zoom_iqa.base.errors import BudgetError, ConfigError, ServerError
from zoom_iqa.engines.chat_api.budget import Ledger
from zoom_iqa.engines.chat_api.fetching import DROPPED, fetched
from zoom_iqa.engines.chat_api.replies import BrokenReplyError, Reply, Usage, read_reply, writable
from zoom_iqa.engines.chat_api.request_log import RequestLog

MAY_PASS = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APIConnectionError,  # time-outs and dropped connections too
    openai.ConflictError,
    BrokenReplyError,
)
REQUEST_TIMEOUT_STATUS = 408
_KEY = re.compile(r"api[ _]key", re.IGNORECASE)
LENGTH_KEYS = ("max_tokens", "max_completion_tokens")
SAID_LIMIT = 400
"""Characters of an error that are kept."""


class RefusedRequestError(Exception):
    """The server does not take this request as it is."""


class UnansweredRequestError(Exception):
    """Every attempt at a request brought something else than an answer; says what the last one brought."""


class Pace:
    """Lets at most so many requests a minute begin, evenly spread; None lets all."""

    def __init__(self, per_minute: float | None) -> None:
        self._interval_s = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Wait for the turn of one more request."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._interval_s
        time.sleep(begin - now)


class Caller:
    """Makes requests from several threads; every attempt is counted, and logged with what came of it."""

    def __init__(
        self,
        *,
        client: openai.OpenAI,
        key: str | None,
        key_variable: str,
        attempts: int,
        timeout_s: float,
        longest_wait_s: float,
        pace: Pace,
        ledger: Ledger,
        log: RequestLog,
    ) -> None:
        self._client, self._timeout_s = client, timeout_s
        self._key = key
        self._key_variable = key_variable
        self._attempts, self._longest_wait_s = attempts, longest_wait_s
        self._backoff = tenacity.wait_random_exponential(multiplier=1, max=longest_wait_s)
        self._pace, self._ledger, self._log = pace, ledger, log

    def __call__(
        self, key: str, body: Mapping[str, Any], *, shown: Mapping[str, Any], stop_strings: tuple[str, ...]
    ) -> Reply:
        """The reply. ``shown`` is the body for the log.

        Raises:
            UnansweredRequestError: every attempt brought something else.
            RefusedRequestError: the server does not take the request.
            BudgetError: the budget is spent, or the server's own.
            ConfigError: the server has no such model.
            ServerError: the key is not taken, or the server cannot be reached.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(may_pass),
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    number = attempt.retry_state.attempt_number
                    return self._attempt(key, number, body, shown, stop_strings)
        except openai.APITimeoutError as error:
            raise self._unanswered(error) from error
        except openai.APIConnectionError as error:
            if type(error.__cause__).__name__ in DROPPED:  # it listens, and dropped this request
                raise self._unanswered(error) from error
            raise ServerError(
                f"base_url={self._client.base_url} cannot be reached ({self._hidden(error)}); "
                "start the server, and the same command goes on, or correct the address; curate and judge keep answers "
                "of another address in another folder (out=FOLDER)"
            ) from error
        except MAY_PASS as error:
            if getattr(error, "code", None) == "insufficient_quota":
                raise BudgetError(f"{self._client.base_url} says: {self._hidden(error)}; top up the account") from error
            raise self._unanswered(error) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._without_key(error) from error
        except openai.NotFoundError as error:
            raise ConfigError(
                f"model={body['model']}: {self._client.base_url} says: {self._hidden(error)}; "
                "name one of its models, or correct base_url"
            ) from error
        except openai.APIStatusError as error:
            if error.status_code == REQUEST_TIMEOUT_STATUS:
                raise self._unanswered(error) from error
            if _KEY.search(_said(error)):  # Gemini answers 400 where others answer 401
                raise self._without_key(error) from error
            raise RefusedRequestError(self._hidden(error)) from error
        raise AssertionError("tenacity returns or raises")

    def _attempt(
        self,
        key: str,
        number: int,
        body: Mapping[str, Any],
        shown: Mapping[str, Any],
        stop_strings: tuple[str, ...],
    ) -> Reply:
        self._ledger.admit()
        self._pace()
        started, begun = time.perf_counter(), _now()

        def log(outcome: str, said: str | None, reply: Reply | None, spent: Usage) -> None:
            self._log.write(
                time=begun,
                key=key,
                attempt=number,
                model=body["model"],
                answered_by=None if reply is None else self._without(reply.answered_by),
                outcome=outcome,
                said=said,
                finish=None if reply is None else reply.finish,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                seconds=round(time.perf_counter() - started, 3),
                body=shown,
            )

        try:
            reply = read_reply(fetched(self._client, body, timeout_s=self._timeout_s), stop_strings=stop_strings)
        except openai.OpenAIError as error:
            log(type(error).__name__, self._hidden(error), None, Usage(0, 0))
            raise
        except BrokenReplyError as error:
            spent = self._charged(error.usage, body)
            log(type(error).__name__, self._hidden(error), None, spent)
            raise
        log("ok", None, reply, self._charged(reply.usage, body))
        return reply

    def _charged(self, usage: Usage | None, body: Mapping[str, Any]) -> Usage:
        """What an answer has cost: where the server does not say it, as much as it may have written."""
        spent = usage or Usage(0, next((body[key] for key in LENGTH_KEYS if key in body), 0))
        self._ledger.charge(input_tokens=spent.input_tokens, output_tokens=spent.output_tokens)
        return spent

    def _wait(self, state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        asked = retry_after_s(state.outcome.exception(), now=datetime.datetime.now(datetime.UTC))
        return self._backoff(state) if asked is None else min(asked, self._longest_wait_s)

    def _unanswered(self, error: Exception) -> UnansweredRequestError:
        return UnansweredRequestError(f"{type(error).__name__}: {self._hidden(error)}")

    def _without_key(self, error: Exception) -> ServerError:
        sent = "does not take the key" if self._key else "was asked without a key"
        return ServerError(
            f"{self._client.base_url} {sent} ({self._hidden(error)}); set the environment variable {self._key_variable}"
        )

    def _hidden(self, error: Exception) -> str:
        """The beginning of an error's text without the key, which some servers repeat."""
        return (self._without(_said(error)) or "")[:SAID_LIMIT]

    def _without(self, text: str | None) -> str | None:
        return text.replace(self._key, "(key)") if text and self._key else text


def may_pass(error: BaseException) -> bool:
    """Whether the same request may be answered later."""
    if getattr(error, "code", None) == "insufficient_quota":
        return False
    if isinstance(error, openai.APIStatusError) and error.status_code == REQUEST_TIMEOUT_STATUS:
        return True
    return isinstance(error, MAY_PASS)


def retry_after_s(error: BaseException | None, *, now: datetime.datetime) -> float | None:
    """The seconds that the server's Retry-After asks for, given as seconds or as a date; None where it asks none."""
    if not isinstance(error, openai.APIStatusError):
        return None
    asked = error.response.headers.get("retry-after")
    if asked is None:
        return None
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass  # it may be a date
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(asked) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _said(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
    return writable(" ".join(str(cause or error).split()))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")

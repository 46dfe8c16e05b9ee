"""An engine that is waited for so long and no longer: another takes its place and is asked again, then it is an error.

Equal requests and weights give equal tokens, so an answer that had to be asked for again is the same answer.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Never

from zoom_iqa.base.errors import LateError, SessionError
from zoom_iqa.base.ranges import require_not_negative, require_positive_or_inf, require_whole
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.engine import Engine, rest


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long an engine is waited for.

    An engine that finishes no request for ``timeout_s`` seconds is given up; its requests are asked of a new one after
    ``wait_s`` seconds, twice as many each further time, at most ``attempts`` times in all. Of the time in which it was
    not called, as another engine was, each piece counts as a tenth of ``timeout_s`` at most.

    Raises:
        ConfigError: a value is out of range.
    """

    timeout_s: float
    attempts: int
    wait_s: float

    def __post_init__(self) -> None:
        require_positive_or_inf("machine.engine_timeout_s", self.timeout_s, inf_means="waits for ever")
        require_whole("machine.engine_attempts", self.attempts, least=1)
        require_not_negative("machine.engine_wait_s", self.wait_s, note="it is in seconds")


class PatientEngine:
    """The engine that ``make`` makes, and others in its place when it is late; ``engine`` is the one now.

    Raises:
        LateError: in ``step``, when no attempt has finished a request in time.
    """

    def __init__(self, make: Callable[[], Engine], *, patience: Patience) -> None:
        self._make, self._patience = make, patience
        self.engine = make()
        self.sampling = self.engine.sampling
        self._unfinished: dict[str, Request] = {}
        self._seen, self._spent_s, self._attempt = time.monotonic(), 0.0, 1

    @property
    def busy(self) -> bool:
        """Whether requests are unfinished."""
        return self.engine.busy

    def submit(self, request: Request) -> None:
        """Queue a request."""
        if not self._unfinished:
            self._begin(attempt=1)
        self.engine.submit(request)
        self._unfinished[request.key] = request

    def step(self) -> list[Generation]:
        """As the engine's, within what is left of the time."""
        if not self._unfinished:
            return self.engine.step()
        begun, limit_s = time.monotonic(), self._patience.timeout_s
        self._spent_s += min(begun - self._seen, limit_s / 10)
        try:
            with _at_most(limit_s - self._spent_s):
                finished = self.engine.step()
        except _TimeOutError:
            self._ask_again()
            return []
        self._seen = time.monotonic()
        self._spent_s += self._seen - begun
        if finished:
            self._begin(attempt=1)
            for generation in finished:
                self._unfinished.pop(generation.key, None)  # one that nobody asked for is refused where it is used
        return finished

    def refresh(self) -> None:
        """The weights have changed."""
        self.engine.refresh()

    def drop_weights(self) -> None:
        """Those of an engine that has some; ``refresh`` makes them anew."""
        rest(self.engine)

    def release(self) -> None:
        """No request to come continues one that has finished."""
        self.engine.release()

    def _ask_again(self) -> None:
        patience, count = self._patience, len(self._unfinished)
        said = f"the engine has finished none of {count} requests within {patience.timeout_s:g} s"
        if self._attempt >= patience.attempts:
            raise LateError(
                f"{said}, asked {self._attempt} times; raise machine.engine_timeout_s if "
                "it is slow, and the same command goes on"
            )
        wait_s = patience.wait_s * 2 ** (self._attempt - 1)
        print(f"warning: {said}; a new one is asked in {wait_s:g} s", file=sys.stderr)
        time.sleep(wait_s)
        try:
            self.engine = self._make()
            for request in self._unfinished.values():
                self.engine.submit(request)
        except SessionError as error:
            raise LateError(f"{said}, and another cannot take its place ({error}); the same command goes on") from error
        self._begin(attempt=self._attempt + 1)

    def _begin(self, *, attempt: int) -> None:
        self._seen, self._spent_s, self._attempt = time.monotonic(), 0.0, attempt


class _TimeOutError(Exception):
    """The time is over."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TimeOutError when the block takes longer, or at once where no time is left.

    Outside the main thread, to which Python hands signals, a block is not interrupted.
    """
    if seconds <= 0:
        raise _TimeOutError
    if seconds == float("inf") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _over(number: int, frame: FrameType | None) -> Never:
    raise _TimeOutError

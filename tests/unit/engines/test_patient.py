"""A late engine is given up, another is asked the same, and in the end it is an error."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import pytest

from zoom_iqa.base.errors import ConfigError, LateError, SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Message, Request, TextPart
from zoom_iqa.engines.engine import Engine
from zoom_iqa.engines.patient import Patience, PatientEngine
from zoom_iqa.engines.scripted import ScriptedEngine

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=True, max_new_tokens=9, stop_strings=())
LATE_S = 0.05


class Hanging(ScriptedEngine):
    """Answers its first request, and then waits in a lock."""

    def step(self) -> list[Generation]:
        if self._waiting and self._waiting[0].key != "a":
            threading.Event().wait()
        return super().step()


class Idle(ScriptedEngine):
    """Is busy, and answers nothing."""

    def step(self) -> list[Generation]:
        return []


def request(key: str) -> Request:
    return Request(key=key, prompt_key=key, prompt=(Message("user", (TextPart("?"),)),), seed=0)


def makes(*kinds: type[ScriptedEngine]) -> Callable[[], Engine]:
    made = iter(kinds)
    return lambda: next(made)(script=lambda asked: f"text of {asked.key}", sampling=SAMPLING, policy=None)


def answers(engine: PatientEngine, *keys: str) -> dict[str, str]:
    for key in keys:
        engine.submit(request(key))
    found: dict[str, str] = {}
    while engine.busy:
        found |= {generation.key: generation.text for generation in engine.step()}
    return found


def patience(attempts: int = 3, wait_s: float = 0.0) -> Patience:
    return Patience(timeout_s=LATE_S, attempts=attempts, wait_s=wait_s)


@pytest.mark.parametrize("late", [Hanging, Idle])
def test_what_is_unfinished_is_asked_of_another(late: type[ScriptedEngine], capsys: pytest.CaptureFixture[str]) -> None:
    engine = PatientEngine(makes(late, late, ScriptedEngine), patience=patience())
    assert answers(engine, "a", "b", "c") == {key: f"text of {key}" for key in "abc"}
    left = 2 if late is Hanging else 3
    said = f"warning: the engine has finished none of {left} requests within 0.05 s; a new one is asked in 0 s"
    assert capsys.readouterr().err.splitlines()[0] == said


def test_waits_double_and_then_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    engine = PatientEngine(makes(*[Hanging] * 3), patience=patience(wait_s=2.0))
    with pytest.raises(LateError, match=r"none of 1 requests within 0\.05 s, asked 3 times; raise machine\.eng"):
        answers(engine, "b")
    assert waited == [2.0, 4.0]


class Alternating(ScriptedEngine):
    """Answers one request and hangs at the next."""

    def step(self) -> list[Generation]:
        if getattr(self, "answered", False):
            threading.Event().wait()
        self.answered = True
        return super().step()


def test_an_answer_in_time_gives_all_attempts_back() -> None:
    """Each of four engines answers once; two late ones in a row would end it."""
    engine = PatientEngine(makes(*[Alternating] * 4), patience=patience(attempts=2))
    assert answers(engine, *"abcd") == {key: f"text of {key}" for key in "abcd"}


def test_the_time_of_another_engine_is_not_this_one_s() -> None:
    """Twice as long as it may take passes before its first step, as where a judge's server is waited for."""
    engine = PatientEngine(makes(ScriptedEngine), patience=patience(attempts=1))
    engine.submit(request("a"))
    time.sleep(2 * LATE_S)
    assert [made.text for made in engine.step()] == ["text of a"]


def test_an_engine_that_no_other_can_replace_is_an_error() -> None:
    def make() -> Engine:
        if made:
            raise SessionError("it is busy")
        made.append(Hanging)
        return makes(Hanging)()

    made: list[type] = []
    with pytest.raises(LateError, match="another cannot take its place \\(it is busy\\)"):
        answers(PatientEngine(make, patience=patience()), "b")


def test_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="engine_timeout_s=0 must be above 0"):
        Patience(timeout_s=0, attempts=1, wait_s=0)
    with pytest.raises(ConfigError, match="engine_attempts=0 must be a whole number of at least 1"):
        Patience(timeout_s=math.inf, attempts=0, wait_s=0)
    with pytest.raises(ConfigError, match="engine_wait_s=-1 must be 0 or more"):
        Patience(timeout_s=1, attempts=1, wait_s=-1)

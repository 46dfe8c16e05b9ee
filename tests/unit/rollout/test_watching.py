"""A session told as it happens: the same rollout as a collected one, and a text after each token on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.random_policy import noise_image
from support.typing_engine import TypingEngine
from support.written_rollouts import PROMPTS, SAMPLING
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Request, Sample, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.rollout.collect import collect
from zoom_iqa.rollout.watching import watch
from zoom_iqa.tasks.task import Session
from zoom_iqa.tasks.zoom import ZoomTask

CROP = '<answer>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "rating": 3.52, "tool": "crop"}</answer>'
FINAL = '<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.10, "tool": "final"}</answer>'


def script(request: Request) -> str:
    return CROP if "turn1" in request.key else FINAL


def session() -> Session:
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0), noise_image(0, 40, 40))
    return ZoomTask(prompts=PROMPTS).open(sample, index=0, seed=7)


def test_texts_come_turn_by_turn_while_steps_are_completed() -> None:
    watched = session()
    engine = TypingEngine(script=script, sampling=SAMPLING, policy=None)
    seen = [(len(watched.steps), text) for text in watch(watched, engines={"policy": engine})]
    beginnings = [[(turn, text[:end]) for end in range(len(text))] for turn, text in enumerate((CROP, FINAL))]
    assert seen == [*beginnings[0], *beginnings[1]]
    plain = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    (collected,) = collect([session()], engines={"policy": plain})
    rollout = watched.rollout()
    assert [step.generation for step in rollout.steps] == [step.generation for step in collected.steps]
    assert rollout.rating == 4.10
    assert watched.steps == rollout.steps


def test_an_engine_that_cannot_be_watched_tells_when_turns_begin() -> None:
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    assert list(watch(session(), engines={"policy": engine})) == ["", ""]


def test_half_a_character_is_not_shown() -> None:
    class Halves(TypingEngine):
        @property
        def unfinished(self) -> dict[str, str]:
            return {key: f"{text}\N{REPLACEMENT CHARACTER}" for key, text in super().unfinished.items()}

    engine = Halves(script=script, sampling=SAMPLING, policy=None, piece=10)
    told = watch(session(), engines={"policy": engine})
    assert [next(told), next(told), next(told)] == ["", CROP[:10], CROP[:20]]


def test_one_that_is_given_up_takes_its_request_back() -> None:
    engine = TypingEngine(script=script, sampling=SAMPLING, policy=None)
    told: Iterator[str] = watch(session(), engines={"policy": engine})
    for _ in range(5):
        next(told)
    assert engine.busy
    told.close()  # type: ignore[attr-defined]
    assert not engine.busy
    assert len(list(watch(session(), engines={"policy": engine}))) == len(CROP) + len(FINAL)


def test_a_speaker_without_an_engine_is_named() -> None:
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    with pytest.raises(ConfigError, match="no engine speaks for 'policy'; there are judge"):
        list(watch(session(), engines={"judge": engine}))

"""The text-only task: one question about a described image, read like any answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zoom_iqa.base.errors import ConfigError, DataError, SessionError
from zoom_iqa.base.types import Ending, Generation, ParseFailure, Sample, TextPart, rated_example
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionTask
from zoom_iqa.tasks.sessions import QuestionSession

PROMPTS = CaptionPrompts(questions=["Good?", "Rate."], prompt="{question} Described as {description}.")
EXAMPLE = replace(rated_example(id="7", dataset="toy", mos=2.0), references=("a soft cat", "a cat"))
SAMPLE = Sample(EXAMPLE, ())


def answered(text: str) -> QuestionSession:
    session = CaptionTask(prompts=PROMPTS).open(SAMPLE, index=1, seed=3)
    request = session.next_request()
    assert request is not None
    session.submit(Generation(request.key, text, (1,), (0.0,), (0.0,), "stop"))
    assert session.next_request() is None
    return session


def test_the_description_stands_in_the_question() -> None:
    request = CaptionTask(prompts=PROMPTS).open(SAMPLE, index=0, seed=0).next_request()
    assert request is not None
    (message,) = request.prompt
    (part,) = message.parts
    assert isinstance(part, TextPart)
    assert part.text in {f"{question} Described as a soft cat." for question in PROMPTS.questions}


def test_a_group_shares_its_wording_and_not_its_seeds() -> None:
    task = CaptionTask(prompts=PROMPTS)
    requests = [task.open(SAMPLE, index=index, seed=5).next_request() for index in range(4)]
    assert len({request.prompt_key for request in requests if request}) == 1
    assert len({request.seed for request in requests if request}) == 4
    wordings = {task.open(SAMPLE, index=0, seed=seed).next_request().prompt_key for seed in range(20)}  # type: ignore[union-attr]
    assert len(wordings) == 2
    rehearsed = task.rehearse(SAMPLE, np.random.default_rng(0)).next_request()
    assert rehearsed is not None
    assert rehearsed.prompt_key in wordings


@pytest.mark.parametrize(
    ("text", "rating", "well_formed"),
    [
        ('<think>soft</think><answer>{"rating": 2.40}</answer>', 2.4, True),
        ('so: <answer>{"rating": 2.40}</answer>', 2.4, False),
        ("2.40", None, False),
    ],
)
def test_answers_are_read(text: str, rating: float | None, well_formed: bool) -> None:
    rollout = answered(text).rollout()
    assert rollout.ending is Ending.FINAL
    assert rollout.well_formed is well_formed
    if rating is None:
        assert isinstance(rollout.rating, ParseFailure)
        assert rollout.rating.reason == "missing_answer"
    else:
        assert rollout.rating == rating
        spans = rollout.steps[0].reading.spans["rating"]
        assert [text[start:end] for start, end in spans] == ["2", "40"]


def test_calls_out_of_order_are_errors() -> None:
    session = CaptionTask(prompts=PROMPTS).open(SAMPLE, index=0, seed=0)
    with pytest.raises(SessionError, match="before an answer"):
        session.rollout()
    with pytest.raises(SessionError, match="not asked for"):
        session.submit(Generation("other", "", (), (), (), "stop"))


def test_an_example_without_a_description_is_named() -> None:
    bare = Sample(rated_example(id="7", dataset="toy", mos=2.0), ())
    with pytest.raises(DataError, match="toy:7 has no description"):
        CaptionTask(prompts=PROMPTS).open(bare, index=0, seed=0)


@pytest.mark.parametrize(
    ("questions", "prompt"), [([], "{question} {description}"), (["a"], "{question}"), (["a"], "{description}")]
)
def test_prompts_without_their_parts_are_refused(questions: list[str], prompt: str) -> None:
    with pytest.raises(ConfigError, match=r"^(questions|prompt)="):
        CaptionPrompts(questions=questions, prompt=prompt)

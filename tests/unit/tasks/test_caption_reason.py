"""One turn that describes before it rates: what is asked, what is well formed, what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate

from support.random_policy import noise_image
from zoom_iqa.base.errors import ConfigError, SessionError
from zoom_iqa.base.types import Ending, Generation, ImagePart, ParseFailure, Sample, TextPart, rated_example
from zoom_iqa.tasks.caption_reason import CaptionReasonPrompts, CaptionReasonTask, read_caption_reason

CONF = Path(__file__).parents[3] / "conf" / "prompts" / "caption_reason"
PROMPTS = CaptionReasonPrompts(questions=["Good?", "Rate."], prompt="{question} Say why.", terse=True)
SAMPLE = Sample.of(rated_example(id="7", dataset="toy", mos=2.0), noise_image(0, 40, 40))
GOOD = '<caption>a cat</caption>\n<think>soft</think> <answer>{"rating": 2.40}</answer>'


def test_the_question_comes_with_the_image_and_a_group_shares_it() -> None:
    task = CaptionReasonTask(prompts=PROMPTS)
    requests = [task.open(SAMPLE, index=index, seed=5).next_request() for index in range(3)]
    assert len({request.prompt_key for request in requests if request}) == 1
    assert len({(request.key, request.seed) for request in requests if request}) == 3
    assert requests[0] is not None
    (message,) = requests[0].prompt
    text, image = message.parts
    assert isinstance(text, TextPart)
    assert isinstance(image, ImagePart)
    assert text.text in ("Good? Say why.", "Rate. Say why.")
    rehearsed = task.rehearse(SAMPLE, np.random.default_rng(1)).next_request()
    assert rehearsed is not None
    assert rehearsed.prompt[0].parts[0] in (TextPart("Good? Say why."), TextPart("Rate. Say why."))


def test_one_answer_ends_it() -> None:
    session = CaptionReasonTask(prompts=PROMPTS).open(SAMPLE, index=0, seed=0)
    request = session.next_request()
    assert request is not None
    with pytest.raises(SessionError, match="before an answer"):
        session.rollout()
    with pytest.raises(SessionError, match="not asked for"):
        session.submit(Generation("other", GOOD, (), (), (), "stop"))
    session.submit(Generation(request.key, GOOD, (), (), (), "stop"))
    assert session.next_request() is None
    rollout = session.rollout()
    assert (rollout.rating, rollout.ending, rollout.well_formed) == (2.4, Ending.FINAL, True)


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ('<think>soft</think><answer>{"rating": 2.40}</answer>', 2.4),  # no caption
        ('<caption> </caption><think>soft</think><answer>{"rating": 2.40}</answer>', 2.4),  # an empty one
        ('<caption>a</caption><think></think><answer>{"rating": 2.40}</answer>', 2.4),
        ('<think>soft</think><caption>a</caption><answer>{"rating": 2.40}</answer>', 2.4),  # another order
        ('<caption>a</caption><caption>b</caption><think>c</think><answer>{"rating": 2.40}</answer>', 2.4),
        ('<caption>a</caption>so<think>c</think><answer>{"rating": 2.40}</answer>', 2.4),
        ('<caption>a</caption><think>c</think><answer>{"rating": 2.40, "tool": "final"}</answer>', 2.4),
        ("<caption>a</caption><think>c</think><answer>{'rating': 2.40}</answer>", 2.4),
        ("<caption>a</caption><think>c</think><answer>2.40</answer>", "missing_answer"),
        ('<caption>a</caption><think>c</think><answer>{"rating": "?"}</answer>', "bad_rating"),
    ],
)
def test_other_forms_are_not_well_formed_but_rate_where_they_can(text: str, rating: float | str) -> None:
    reading = read_caption_reason(text)
    assert not reading.well_formed
    if isinstance(reading.rating, ParseFailure):
        assert reading.rating.reason == rating
    else:
        assert reading.rating == rating


def test_a_caption_may_hold_a_rating_and_only_that_of_the_answer_counts() -> None:
    text = '<caption>a cat, 4.50</caption><think>soft</think><answer>{"rating": 2.40}</answer>'
    reading = read_caption_reason(text)
    assert (reading.rating, reading.well_formed) == (2.4, True)
    assert [text[slice(*span)] for span in reading.spans["rating"]] == ["2", "40"]


@pytest.mark.parametrize("name", ["full", "compact"])
def test_shipped_prompts_have_their_slots(name: str) -> None:
    prompts = instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    assert isinstance(prompts, CaptionReasonPrompts)
    assert prompts.terse is (name == "compact")


def test_prompts_without_their_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^questions=\[\]; give a list"):
        CaptionReasonPrompts(questions=[], prompt="{question}", terse=True)
    with pytest.raises(ConfigError, match=r"has no \{question\}"):
        CaptionReasonPrompts(questions=["a"], prompt="why", terse=True)

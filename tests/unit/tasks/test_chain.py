"""The chain as a conversation that grows, and every way in which it goes on or ends."""

from __future__ import annotations

import numpy as np
import pytest

from support.random_policy import noise_image
from zoom_iqa.base.errors import ConfigError, SessionError
from zoom_iqa.base.types import (
    Box,
    Ending,
    Generation,
    ImagePart,
    Message,
    ParseFailure,
    Request,
    Sample,
    TextPart,
    rated_example,
)
from zoom_iqa.tasks.chain import ChainPrompts, ChainSession, ChainTask
from zoom_iqa.tasks.tools.zoom import zoom_box

PROMPTS = ChainPrompts(
    questions=["How good?", "Rate it."],
    first="{question} Look.",
    shown="Crop {number}: ",
    refused="No crop {number}: {reason}. ",
    go_on="Go on.",
    last="Answer now.",
    terse=True,
)
IMAGE = noise_image(0, 100, 80)
SAMPLE = Sample.of(rated_example(id="a", dataset="d", mos=3.0), IMAGE)
ANSWER = '<think>so</think><answer>{"rating": 2.35, "evidence": []}</answer>'
LEFT, RIGHT = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)


def call(*boxes: tuple[float, ...]) -> str:
    return "<think>x</think>" + "".join(f'<zoom>{{"bbox_2d": {list(box)}, "look_for": "blur"}}</zoom>' for box in boxes)


def task(*, max_turns: int = 4, max_crops: int = 3, enlarge: float = 1.0) -> ChainTask:
    return ChainTask(prompts=PROMPTS, max_turns=max_turns, max_crops=max_crops, enlarge=enlarge)


def say(session: ChainSession, text: str, *, finish: str = "stop") -> Request | None:
    request = session.next_request()
    assert request is not None
    session.submit(Generation(request.key, text, (), (), (), finish))  # type: ignore[arg-type]
    return session.next_request()


def opened(**limits: int) -> ChainSession:
    return task(**limits).open(SAMPLE, index=0, seed=0)  # type: ignore[arg-type]


def replies(request: Request | None) -> list[list[str | tuple[int, int]]]:
    """Texts, and sizes of images, of each message."""
    assert request is not None
    return [
        [part.text if isinstance(part, TextPart) else part.image.size for part in message.parts]
        for message in request.prompt
    ]


def test_the_conversation_grows() -> None:
    session = opened()
    first = session.next_request()
    second = say(session, call(LEFT))
    third = say(session, call(RIGHT, LEFT))
    assert first is not None
    assert second is not None
    assert third is not None
    assert third.prompt[: len(second.prompt)] == second.prompt
    assert second.prompt[: len(first.prompt)] == first.prompt
    assert replies(third)[1:] == [
        [call(LEFT)],
        ["Crop 1: ", (50, 40), "Go on."],
        [call(RIGHT, LEFT)],
        ["Crop 2: ", (50, 40), "Crop 3: ", (50, 40), "Go on."],
    ]
    crop = third.prompt[-1].parts[1]
    assert isinstance(crop, ImagePart)
    assert crop.image.tobytes() == IMAGE.crop((50, 40, 100, 80)).tobytes()
    assert say(session, ANSWER) is None
    rollout = session.rollout()
    assert (rollout.ending, rollout.rating, rollout.well_formed, rollout.cropped) == (Ending.FINAL, 2.35, True, True)
    assert [look.box for step in rollout.steps for look in step.looks] == [
        (0, 0, 50, 40),
        (50, 40, 100, 80),
        (0, 0, 50, 40),
    ]
    assert len({step.request.key for step in rollout.steps}) == len({step.request.seed for step in rollout.steps}) == 3


def test_an_answer_at_once() -> None:
    session = opened()
    assert say(session, ANSWER) is None
    assert session.rollout().cropped is False


REFUSED = {
    "malformed": ("<zoom>?</zoom>", "the call is no JSON"),
    "three numbers": (call(LEFT[:3]), "bbox_2d needs four numbers"),
    "infinite": (call(LEFT).replace("0.5", "1e999"), "bbox_2d needs four numbers"),
    "a word": (call(LEFT).replace("0.5", '"x"'), "bbox_2d needs four numbers"),
    "not closed": (call(LEFT).removesuffix("</zoom>"), "the call is not closed"),
    "empty": (call((0.5, 0.5, 0.5, 0.9)), "the box is empty"),
    "upside down": (call((0.9, 0.1, 0.1, 0.5)), "the box is empty"),
    "outside, in pixels": (call((200, 10, 300, 50)), "outside the image"),
    "right of the last pixel": (call((100, 10, 300, 50)), "outside the image"),
    "above the first pixel": (call((10, -30, 50, 0)), "outside the image"),
    "outside, below zero": (call((-0.5, 0.1, -0.1, 0.5)), "outside the image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_cannot_be_served_is_answered_by_text(name: str) -> None:
    text, reason = REFUSED[name]
    session = opened()
    second = say(session, text)
    (said, go_on) = replies(second)[-1]
    assert str(said).startswith("No crop 1: ")
    assert reason in str(said)
    assert go_on == "Go on."
    assert say(session, ANSWER) is None
    rollout = session.rollout()
    assert (rollout.ending, rollout.rating, rollout.cropped) == (Ending.FINAL, 2.35, False)
    assert reason in str(rollout.steps[0].looks[0].refusal)


def test_crops_are_counted_over_the_chain() -> None:
    session = opened(max_crops=3)
    say(session, call(LEFT, RIGHT))
    third = say(session, call(LEFT, RIGHT))
    assert replies(third)[-1] == [
        "Crop 3: ",
        (50, 40),
        "No crop 4: no more than 3 zooms are shown. ",
        "Go on.",
    ]
    fourth = say(session, call(LEFT))
    assert replies(fourth)[-1] == ["No crop 5: no more than 3 zooms are shown. ", "Answer now."]


def test_refused_calls_take_no_crop() -> None:
    session = opened(max_crops=1)
    say(session, call((0.5, 0.5, 0.5, 0.9)))
    assert replies(say(session, call(LEFT)))[-1][:2] == ["Crop 2: ", (50, 40)]


def test_twenty_calls_in_a_turn() -> None:
    session = opened(max_crops=3)
    second = say(session, call(*[LEFT] * 20))
    assert sum(isinstance(part, ImagePart) for part in second.prompt[-1].parts) == 3  # type: ignore[union-attr]
    say(session, ANSWER)
    looks = session.rollout().steps[0].looks
    assert len(looks) == 20
    assert [look.box is None for look in looks] == [False] * 3 + [True] * 17


def test_calls_in_the_last_turn_end_the_chain() -> None:
    session = opened(max_turns=2)
    assert replies(say(session, call(LEFT)))[-1][-1] == "Answer now."
    assert say(session, call(RIGHT)) is None
    rollout = session.rollout()
    assert rollout.ending is Ending.TURN_LIMIT
    assert rollout.ending.failure is None
    assert isinstance(rollout.rating, ParseFailure)
    assert [one.reading.well_formed for one in rollout.steps] == [True, False]  # the last was asked for the answer
    assert rollout.steps[-1].looks[0].refusal == "no turn is left"


@pytest.mark.parametrize("text", [call(LEFT) + ANSWER, ANSWER + call(LEFT)], ids=["call first", "answer first"])
def test_an_answer_beside_a_call_counts(text: str) -> None:
    session = opened()
    assert say(session, text) is None
    rollout = session.rollout()
    assert (rollout.ending, rollout.rating, rollout.well_formed, rollout.cropped) == (Ending.FINAL, 2.35, False, False)
    assert rollout.steps[0].looks[0].refusal == "the turn answers"


ENDINGS = {
    "neither": ("<think>hm</think>", "stop", Ending.MISSING_ANSWER),
    "cut": ("<think>hm", "length", Ending.LENGTH),
    "malformed": ('<answer>{"rating": 2.35, "evidence": [}</answer>', "stop", Ending.MALFORMED_JSON),
    "no number": ('<answer>{"rating": "good", "evidence": []}</answer>', "stop", Ending.BAD_RATING),
    "imitated": ("Crop 1: it is sharp. Go on.", "stop", Ending.MISSING_ANSWER),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_endings(name: str) -> None:
    text, finish, ending = ENDINGS[name]
    session = opened()
    say(session, call(LEFT))
    assert say(session, text, finish=finish) is None
    rollout = session.rollout()
    assert rollout.ending is ending
    assert isinstance(rollout.rating, ParseFailure)


def test_text_that_imitates_a_reply_stays_text() -> None:
    session = opened()
    second = say(session, "<think>x</think>Crop 1: <|vision_start|><|image_pad|><|vision_end|>" + call(LEFT))
    assert second is not None
    assert [message.role for message in second.prompt] == ["user", "assistant", "user"]
    assert sum(isinstance(part, ImagePart) for message in second.prompt for part in message.parts) == 2
    say(session, ANSWER)
    assert not session.rollout().steps[0].reading.well_formed


def test_small_boxes_are_widened_and_crops_enlarged() -> None:
    session = task(enlarge=2.0).open(SAMPLE, index=0, seed=0)
    second = say(session, call((0.0, 0.0, 0.01, 0.5), (0.9, 0.9, 1.0, 1.0), (0.0, 0.0, 0.9, 0.9)))
    assert [part for part in replies(second)[-1] if isinstance(part, tuple)] == [(56, 80), (56, 56), (100, 80)]
    say(session, ANSWER)
    boxes = [look.box for look in session.rollout().steps[0].looks]
    assert boxes == [(0, 0, 28, 40), (72, 52, 100, 80), (0, 0, 90, 72)]


@pytest.mark.parametrize(
    ("bbox", "size", "box"),
    [
        ((10.4, 20.6, 60.2, 80.7), (200, 100), (10, 20, 61, 81)),  # whole pixels that hold it
        ((100, 50, 110, 60), (200, 200), (91, 41, 119, 69)),  # 18 more, 9 on either side
    ],
)
def test_the_pixels_of_a_box_hold_it_in_their_middle(
    bbox: tuple[float, float, float, float], size: tuple[int, int], box: Box
) -> None:
    assert zoom_box(bbox, *size) == box


def test_boxes_beyond_the_image_are_cut_at_its_border() -> None:
    session = opened()
    say(session, call((50, 40, 900, 900), (-0.2, 0.0, 0.5, 0.5)))
    say(session, ANSWER)
    assert [look.box for look in session.rollout().steps[0].looks] == [(50, 40, 100, 80), (0, 0, 50, 40)]


def test_a_group_shares_its_wording_and_not_its_seeds() -> None:
    requests = [task().open(SAMPLE, index=index, seed=5).next_request() for index in range(4)]
    assert len({request.prompt_key for request in requests if request}) == 1
    assert len({request.seed for request in requests if request}) == 4
    keys = {task().open(SAMPLE, index=0, seed=seed).next_request().prompt_key for seed in range(20)}  # type: ignore[union-attr]
    assert len(keys) == 2
    rehearsed = task().rehearse(SAMPLE, np.random.default_rng(0)).next_request()
    assert rehearsed is not None
    assert rehearsed.prompt_key in keys


def test_calls_out_of_order_are_errors() -> None:
    session = opened()
    with pytest.raises(SessionError, match="is pending"):
        session.rollout()
    with pytest.raises(SessionError, match="the request pending is"):
        session.submit(Generation("other", "", (), (), (), "stop"))
    request = session.next_request()
    assert request is not None
    say(session, ANSWER)
    with pytest.raises(SessionError, match="complete session"):
        session.submit(Generation(request.key, "", (), (), (), "stop"))


@pytest.mark.parametrize(
    ("key", "value"), [("max_turns", 0), ("max_crops", 0), ("enlarge", 0.5), ("enlarge", float("nan"))]
)
def test_limits_that_cannot_be(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"task.{key}="):
        task(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "text"), [("first", "Look."), ("shown", "Crop"), ("refused", "No {number}"), ("go_on", " ")]
)
def test_prompts_without_their_parts_are_refused(key: str, text: str) -> None:
    given = {name: getattr(PROMPTS, name) for name in PROMPTS.__dataclass_fields__}
    with pytest.raises(ConfigError, match=key):
        ChainPrompts(**{**given, key: text})


def test_the_question_stands_in_the_first_message() -> None:
    request = opened().next_request()
    assert request is not None
    (message,) = request.prompt
    assert isinstance(message, Message)
    assert message.parts[0] in (TextPart("How good? Look."), TextPart("Rate it. Look."))
    assert message.parts[1] is SAMPLE.images[0]

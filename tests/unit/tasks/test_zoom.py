"""The session on written-out trajectories: one turn, two turns, unreadable answers, calls out of order."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.types import (
    Ending,
    Generation,
    ImagePart,
    Look,
    ParseFailure,
    Rollout,
    Sample,
    TextPart,
    rated_example,
)
from zoom_iqa.tasks.task import derive_seed
from zoom_iqa.tasks.tools.crop import crop_image
from zoom_iqa.tasks.zoom import StrictRules, ZoomSession

EXAMPLE = rated_example(id="7", dataset="toy", mos=2.0)
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
THOUGHT = "<think>{}: soft\nImprove: crisp face\nAvoid: blur on face\n{}: decided</think>"
ASKS = THOUGHT.format("Quality", "Decision") + (
    '<answer>{"bbox_2d": [0.25, 0.25, 0.75, 0.875], "rating": 3.10, "tool": "crop"}</answer>'
)
ENDS = THOUGHT.format("Quality", "Decision") + (
    '<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.20, "tool": "final"}</answer>'
)
SETTLES = THOUGHT.format("Crop", "Final") + (
    '<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.05, "tool": "final"}</answer>'
)


def open_session(seed: int = 0, index: int = 3, image: Image.Image = IMAGE) -> ZoomSession:
    sample = Sample.of(EXAMPLE, image)
    return ZoomSession(
        sample=sample, index=index, question="How good?", prompts=PROMPTS, rules=StrictRules(), seed=seed
    )


def say(key: str, text: str) -> Generation:
    return Generation(key, text, token_ids=(1, 2), logprobs=(-0.1, -0.2), entropies=(0.5, 0.6), finish="stop")


def play(session: ZoomSession, *texts: str) -> Rollout:
    for text in texts:
        request = session.next_request()
        assert request is not None
        session.submit(say(request.key, text))
    assert session.next_request() is None
    return session.rollout()


def test_a_two_turn_trajectory() -> None:
    session = open_session()
    first = session.next_request()
    assert first is not None
    assert session.next_request() is first
    assert first.key == "toy:7/0000000000000000/3/turn1"
    (message,) = first.prompt
    text, image = message.parts
    assert text == TextPart("How good? First look.")
    assert isinstance(image, ImagePart)
    assert image.key == ImagePart.of(IMAGE).key
    assert image.image is IMAGE

    session.submit(say(first.key, ASKS))
    second = session.next_request()
    assert second is not None
    assert second.key == "toy:7/0000000000000000/3/turn2"
    assert second.prompt_key != first.prompt_key
    question, output, look = second.prompt
    assert question.parts == (TextPart("How good?"),)
    assert output.role == "assistant"
    assert output.parts == (TextPart(ASKS),)
    assert look.parts[0] == TextPart("Second look.")
    crop = look.parts[4]
    assert isinstance(crop, ImagePart)
    assert crop.key == ImagePart.of(crop.image).key != image.key
    np.testing.assert_array_equal(crop.image, crop_image(IMAGE, [0.25, 0.25, 0.75, 0.875]))

    session.submit(say(second.key, SETTLES))
    rollout = session.rollout()
    assert session.next_request() is None
    assert rollout.example is EXAMPLE
    assert rollout.index == 3
    assert [step.reading.rating for step in rollout.steps] == [3.1, 2.05]
    assert [step.looks for step in rollout.steps] == [
        (Look(box=(25, 20, 75, 70), region=(0.25, 0.25, 0.75, 0.875)),),
        (),
    ]
    assert [step.request.prompt for step in rollout.steps] == [first.prompt, second.prompt]
    assert rollout.rating == 2.05
    assert rollout.cropped
    assert rollout.well_formed
    assert rollout.ending is Ending.FINAL


def test_a_crop_that_cannot_be_shown_is_refused_and_the_first_rating_counts() -> None:
    """Of 8,000 x 100 pixels the box has 8,000 x 28: 28 % of the area, and 286 to 1."""
    wide = ASKS.replace("[0.25, 0.25, 0.75, 0.875]", "[0, 0, 8000, 28]")
    rollout = play(open_session(image=Image.new("RGB", (8000, 100))), wide)
    said = "8000 x 28 pixels are too thin for the vision tower: sides of at most 200 to 1"
    assert [step.looks for step in rollout.steps] == [(Look(refusal=said),)]
    assert (rollout.rating, rollout.cropped, rollout.ending) == (3.1, False, Ending.UNVIEWABLE)


def test_a_final_answer_ends_the_first_turn() -> None:
    rollout = play(open_session(), ENDS)
    assert rollout.rating == 4.2
    assert not rollout.cropped
    assert rollout.well_formed


@pytest.mark.parametrize(
    ("text", "reason", "rating"),
    [
        ("nothing", "missing_answer", None),
        ("<answer>{rating}</answer>", "malformed_json", None),
        ('<answer>{"bbox_2d": [0, 0, 1, 1], "tool": "crop"}</answer>', "bad_rating", None),
        ('<answer>{"rating": 3.30, "tool": "crop"}</answer>', "bad_bbox", 3.3),
        ('<answer>{"bbox_2d": [0, 0, 1, 1], "rating": 9, "tool": "zoom"}</answer>', "bad_tool", 5.0),
    ],
)
def test_unreadable_routing_keeps_turn_one(text: str, reason: str, rating: float | None) -> None:
    rollout = play(open_session(), text)
    assert rollout.ending.failure == reason
    assert rollout.steps[0].reading.call_failure is not None
    assert not rollout.well_formed
    if rating is None:
        assert isinstance(rollout.rating, ParseFailure)
        assert rollout.rating.reason == reason
    else:
        assert rollout.rating == rating


def test_two_turns_at_most_and_the_last_rating_counts() -> None:
    rollout = play(open_session(), ASKS, ASKS)
    assert len(rollout.steps) == 2
    assert rollout.steps[1].reading.calls
    assert rollout.steps[1].looks == ()
    assert rollout.rating == 3.1
    assert not rollout.steps[1].reading.well_formed
    unread = play(open_session(), ASKS, "no answer")
    assert isinstance(unread.rating, ParseFailure)
    assert unread.ending is Ending.FINAL


def test_calls_out_of_order_are_errors() -> None:
    session = open_session()
    with pytest.raises(SessionError, match="pending is 'toy:7/0000000000000000/3/turn1'"):
        session.submit(say("toy:7/4/turn1", ENDS))
    with pytest.raises(SessionError, match="is pending"):
        session.rollout()
    play(session, ENDS)
    with pytest.raises(SessionError, match="complete session"):
        session.submit(say("toy:7/3/turn2", ENDS))


def test_prompt_keys_are_shared_where_prompts_coincide() -> None:
    first, second, other = open_session(index=0), open_session(index=1), open_session(index=2)
    requests = [session.next_request() for session in (first, second, other)]
    assert len({request.prompt_key for request in requests if request}) == 1
    for session, text in ((first, ASKS), (second, ASKS), (other, ASKS.replace("soft", "noisy"))):
        request = session.next_request()
        assert request is not None
        session.submit(say(request.key, text))
    keys = [request.prompt_key for session in (first, second, other) if (request := session.next_request())]
    assert keys[0] == keys[1] != keys[2]


def test_seeds_differ_by_turn_and_session_and_stay_the_same_elsewhere() -> None:
    seeds = set()
    for seed in (0, 1):
        session = open_session(seed)
        for text in (ASKS, SETTLES):
            request = session.next_request()
            assert request is not None
            assert 0 <= request.seed < 2**63
            seeds.add(request.seed)
            session.submit(say(request.key, text))
    assert len(seeds) == 4
    # another process, whose hash() is salted otherwise
    code = "from zoom_iqa.tasks.task import derive_seed; print(derive_seed(0, 'a'))"
    assert int(subprocess.check_output([sys.executable, "-c", code])) == derive_seed(0, "a")


def test_the_same_picture_under_two_names_is_one_prompt_and_two_requests() -> None:
    other = ZoomSession(
        sample=Sample.of(replace(EXAMPLE, dataset="other"), IMAGE.copy()),
        index=3,
        question="How good?",
        prompts=PROMPTS,
        rules=StrictRules(),
        seed=0,
    )
    mine, theirs = open_session().next_request(), other.next_request()
    assert mine is not None
    assert theirs is not None
    assert mine.key != theirs.key
    assert mine.prompt_key == theirs.prompt_key


def test_another_picture_under_the_same_name_is_another_prompt() -> None:
    pixels = np.array(IMAGE)
    pixels[0, 0, 0] ^= 1
    other = ZoomSession(
        sample=Sample.of(EXAMPLE, Image.fromarray(pixels)),
        index=3,
        question="How good?",
        prompts=PROMPTS,
        rules=StrictRules(),
        seed=0,
    )
    mine, theirs = open_session().next_request(), other.next_request()
    assert mine is not None
    assert theirs is not None
    assert mine.prompt_key != theirs.prompt_key


def test_the_protocol_loads_without_torch() -> None:
    code = "import sys, zoom_iqa.tasks.zoom; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""The release's reading, reasoned text by text from what its code does, and its crops, computed by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import ImageError, ProtocolError
from zoom_iqa.base.types import Ending, Generation, Look, ParseFailure, Rollout, Sample, ToolCall, rated_example
from zoom_iqa.protocol import answer as ours
from zoom_iqa.protocol import released
from zoom_iqa.tasks.released import ReleasedRules, ReleasedZoomTask

REFUSED = None
WHOLE = '"bbox_2d": [0.1, 0.2, 0.9, 0.8], "rating": 3.25, "tool": "crop"'


def wrap(payload: str) -> str:
    return f"<think>words</think><answer>{payload}</answer>"


def rating_of(text: str) -> float | None:
    try:
        return released.read_rating(text)
    except ProtocolError:
        return REFUSED


def crop_of(text: str) -> bool | None:
    try:
        return released.requests_crop(text)
    except ProtocolError:
        return REFUSED


@pytest.mark.parametrize(
    ("payload", "rating", "crops"),
    [
        ("{" + WHOLE + "}", 3.25, True),
        # the dialect: each of these is no JSON
        ('{bbox_2d: [0.1, 0.2, 0.9, 0.8], rating: 3.25, tool: "crop"}', 3.25, True),
        ("{'bbox_2d': [0, 0, 0, 0], 'rating': 3.25, 'tool': 'final'}", 3.25, False),
        ('{"bbox_2d": [0, 0, 0, 0], "rating": 03.25, "tool": "final"}', 3.25, False),
        ("{" + WHOLE + ",}", 3.25, True),
        ("{" + WHOLE.replace("0.8]", "0.8,]") + "}", 3.25, True),
        ("{" + WHOLE.replace("3.25", "+3.25") + "}", 3.25, True),
        ("{" + WHOLE.replace("3.25", "13/4") + "}", 3.25, True),
        ("{ // sure\n" + WHOLE + " /* yes */}", 3.25, True),
        ('{"note": "two\nlines", ' + WHOLE + "}", 3.25, True),
        ("{" + WHOLE + '} {"rating": 5.00}', 3.25, True),
        ("{" + WHOLE + "}}", 3.25, True),
        # and these are not in it either
        ("{// a comment needs white space before it\n" + WHOLE + "}", REFUSED, REFUSED),
        ("{" + WHOLE.replace('"crop"', "crop") + "}", REFUSED, REFUSED),
        ("{" + WHOLE.replace("3.25", "3.") + "}", REFUSED, REFUSED),
        ("{" + WHOLE.replace("3.25", "08") + "}", REFUSED, REFUSED),
        ("{" + WHOLE.replace(",", ";") + "}", REFUSED, REFUSED),
        ("{" + WHOLE + "// a comment to the end }", REFUSED, REFUSED),
        ("{" + WHOLE.replace("3.25", "9" * 5000) + "}", REFUSED, REFUSED),
        ("{" * 100_000 + "}", REFUSED, REFUSED),
        # the rating: whatever Python makes a finite float of, clipped
        ("{" + WHOLE.replace("3.25", '" 4.2"') + "}", 4.2, True),
        ("{" + WHOLE.replace("3.25", "9") + "}", 5.0, True),
        ("{" + WHOLE.replace("3.25", "-1e5") + "}", 1.0, True),
        ("{" + WHOLE.replace("3.25", "true") + "}", 1.0, True),
        ("{" + WHOLE.replace("3.25", "0x2") + "}", 2.0, True),
        # one that is none does not keep it from cropping
        ("{" + WHOLE.replace("3.25", '"good"') + "}", REFUSED, True),
        ("{" + WHOLE.replace("3.25", "null") + "}", REFUSED, True),
        ("{" + WHOLE.replace("3.25", "NaN") + "}", REFUSED, True),
        ("{" + WHOLE.replace("3.25", "1e999") + "}", REFUSED, True),
        ("{" + WHOLE.replace("3.25", "1" + "0" * 400) + "}", REFUSED, True),
        # all three keys are needed to route, the rating alone to rate
        ('{"rating": 3.25}', 3.25, REFUSED),
        ('{"bbox_2d": [0, 0, 1, 1], "rating": 3.25}', 3.25, REFUSED),
        ('{"rating": 3.25, "tool": "crop"}', 3.25, REFUSED),
        ('{"bbox_2d": [0, 0, 1, 1], "tool": "crop"}', REFUSED, REFUSED),
        ('{"rating": 1.50, "rating": 3.25}', 3.25, REFUSED),
        # the tool: only "final", spelled so, keeps from cropping
        ("{" + WHOLE.replace('"crop"', '"zoom"') + "}", 3.25, True),
        ("{" + WHOLE.replace('"crop"', "null") + "}", 3.25, True),
        ("{" + WHOLE.replace('"crop"', '"Final"') + "}", 3.25, True),
        ("{" + WHOLE.replace('"crop"', '["final"]') + "}", 3.25, True),
        ("{" + WHOLE.replace('"crop"', '"final"') + "}", 3.25, False),
        # the box: zeros keep from cropping, however many; what cannot be gone through cannot be routed
        ('{"bbox_2d": [0.0, -0, 0, 0], "rating": 3.25, "tool": "crop"}', 3.25, False),
        ('{"bbox_2d": [], "rating": 3.25, "tool": "crop"}', 3.25, False),
        ('{"bbox_2d": "", "rating": 3.25, "tool": "crop"}', 3.25, False),
        ('{"bbox_2d": [false], "rating": 3.25, "tool": "crop"}', 3.25, False),
        ('{"bbox_2d": [0, 0, 0.1], "rating": 3.25, "tool": "crop"}', 3.25, True),
        ('{"bbox_2d": ["0", 0, 0, 0], "rating": 3.25, "tool": "crop"}', 3.25, True),
        ('{"bbox_2d": "0, 0, 0, 0", "rating": 3.25, "tool": "crop"}', 3.25, True),
        ('{"bbox_2d": {"x1": 0}, "rating": 3.25, "tool": "crop"}', 3.25, True),
        ('{"bbox_2d": null, "rating": 3.25, "tool": "crop"}', 3.25, REFUSED),
        ('{"bbox_2d": 0.5, "rating": 3.25, "tool": "final"}', 3.25, REFUSED),
    ],
)
def test_texts_as_the_release_reads_them(payload: str, rating: float | None, crops: bool | None) -> None:
    assert rating_of(wrap(payload)) == rating
    assert crop_of(wrap(payload)) is crops


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("", REFUSED),
        ("<answer>3.5</answer>", REFUSED),
        (wrap('```json\n{"rating": 3.25}\n```'), REFUSED),  # ours reads it
        ('<answer>sorry</answer> <answer>\n {"rating": 3.25} </answer>', 3.25),
        ('<answer>{"rating": 3.25} so</answer>', REFUSED),
        ('<answer>{"rating": 3.25', REFUSED),
    ],
)
def test_where_an_answer_is_looked_for(text: str, rating: float | None) -> None:
    assert rating_of(text) == rating


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{oops", "missing_answer"),
        ("{oops}", "malformed_json"),
        ('{"tool": "crop"}', "bad_bbox"),
        ('{"bbox_2d": [1]}', "bad_rating"),
        ('{"bbox_2d": 7, "rating": 3, "tool": 1}', "bad_bbox"),
        ('{"bbox_2d": [1], "rating": 3}', "bad_tool"),
    ],
)
def test_refusals_have_their_reason(payload: str, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        released.requests_crop(wrap(payload))
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("power", ["9**9**9", "9**99999999", "9**(9*9)", "2**0xFFFFFFFFFF", "9**-9**9**9"])
def test_arithmetic_that_would_not_end_is_refused_at_once(power: str) -> None:
    start = time.perf_counter()
    assert rating_of(wrap(f'{{"rating": {power}}}')) is REFUSED
    assert time.perf_counter() - start < 1
    assert rating_of(wrap('{"rating": 2**2}')) == 4.0
    assert rating_of(wrap('{"rating": 2**-1}')) == 1.0  # 0.5, clipped
    assert rating_of(wrap('{"rating": 2**(2)}')) == 4.0


@pytest.mark.parametrize("payload", ["(" * 9000 + "1", "-" * 9000 + "1", "1" + "+1" * 9000, "1" + "*9" * 2000])
def test_long_arithmetic_is_an_outcome_too(payload: str) -> None:
    assert rating_of(wrap(f'{{"rating": {payload}}}')) in (REFUSED, 5.0, 1.0)


@pytest.mark.parametrize(
    ("bbox", "size", "box"),
    [
        ([0.25, 0.25, 0.75, 0.875], (100, 80), (25, 20, 75, 70)),  # as it is: 31 % of the area
        (["0.25", "0.25", " 0.75", "0.875"], (100, 80), (25, 20, 75, 70)),  # texts that spell numbers
        ((1, 0.5, 1, 0.5), (100, 80), (72, 18, 100, 62)),  # from the release's own tests
        (
            [float("inf"), float("inf"), float("-inf"), float("-inf")],
            (100, 80),
            (6, 5, 93, 74),
        ),  # everything, cut to 75 %
        # what is no box: the central half
        ([0, 0, 0, 0], (100, 80), (25, 20, 75, 60)),
        (["0", 0, False, 0.0], (100, 80), (25, 20, 75, 60)),
        ([1, 2], (100, 80), (25, 20, 75, 60)),
        ([0.1, 0.2, 0.3, "x"], (100, 80), (25, 20, 75, 60)),
        ([0.1, 0.2, 0.3, None], (100, 80), (25, 20, 75, 60)),
        ("0.1 0.2 0.3 0.4", (100, 80), (25, 20, 75, 60)),
        ({"x": 1}, (100, 80), (25, 20, 75, 60)),
        (None, (3, 5), (0, 1, 2, 3)),
        (None, (1, 80), (0, 20, 0, 60)),  # a column has no half
        ([0, 0.5, 1, 0.75], (1, 80), (0, 36, 1, 64)),
        ([2, 1 - 2**-53, 489, 1 - 2**-53], (490, 1), (33, 0, 457, 1)),
    ],
)
def test_boxes(bbox: object, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    assert released.crop_box(bbox, *size) == box


def test_not_a_number_lies_before_the_border_and_makes_pixels_of_fractions() -> None:
    # (0, 0, 0.5, 1) in pixels of 100 x 80: one pixel, grown to a quarter of the area about its centre and cut off
    assert released.crop_box([float("nan"), 0, 0.5, 1], 100, 80) == released.crop_box([-1, 0, 0.5, 1], 100, 80)
    assert released.crop_box([float("nan"), 0, 0.5, 1], 100, 80) != released.crop_box([0, 0, 0.5, 1], 100, 80)


def test_an_image_has_a_pixel() -> None:
    for bbox in (None, [0, 0, 1, 1]):
        with pytest.raises(ImageError, match="at least one pixel"):
            released.crop_box(bbox, 0, 5)


IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))


def test_the_central_half_keeps_its_pixels_and_a_box_is_enlarged() -> None:
    rules = ReleasedRules()
    central = rules.crop(IMAGE, ToolCall(tool="crop"))
    assert central.look == Look(box=(25, 20, 75, 60), region=(0.25, 0.25, 0.75, 0.75))
    np.testing.assert_array_equal(central.image, np.asarray(IMAGE)[20:60, 25:75])
    boxed = rules.crop(IMAGE, ToolCall(tool="crop", bbox=(0.25, 0.25, 0.75, 0.875)))
    assert boxed.look == Look(box=(25, 20, 75, 70), region=(0.25, 0.25, 0.75, 0.875))
    assert boxed.image is not None
    assert boxed.image.size == (80, 80)


def play(image: Image.Image, *texts: str) -> Rollout:
    sample = Sample.of(rated_example(id="1", dataset="toy", mos=3.0), image)
    session = ReleasedZoomTask(prompts=PROMPTS).open(sample, index=0, seed=0)
    for text in texts:
        request = session.next_request()
        assert request is not None
        session.submit(Generation(request.key, text, (), (), (), "stop"))
    assert session.next_request() is None
    return session.rollout()


def test_a_session_crops_where_ours_does_not() -> None:
    text = wrap('{"bbox_2d": "here", "rating": "good", "tool": "zoom"}')
    with pytest.raises(ProtocolError):
        ours.parse_answer(text)
    rollout = play(IMAGE, text, wrap("{rating: 04.50}"))
    assert rollout.cropped
    assert rollout.rating == 4.5
    assert rollout.ending is Ending.FINAL
    assert isinstance(rollout.steps[0].reading.rating, ParseFailure)


def test_a_first_turn_that_cannot_be_routed_keeps_its_rating() -> None:
    rollout = play(IMAGE, wrap('{"rating": 3.25}'))
    assert rollout.rating == 3.25
    assert rollout.ending is Ending.BAD_BBOX


def test_an_empty_half_is_refused_and_the_first_rating_counts() -> None:
    rollout = play(Image.new("RGB", (1, 80)), wrap('{"bbox_2d": [1, 2], "rating": 3.25, "tool": "crop"}'))
    assert rollout.ending is Ending.UNVIEWABLE
    assert rollout.rating == 3.25
    assert not rollout.cropped
    assert rollout.steps[0].looks == (Look(refusal="the central half of 1 x 80 pixels is empty"),)

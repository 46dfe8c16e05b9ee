"""Any text and any box: only typed outcomes, boxes always inside the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.checked_format import check_format
from zoom_iqa.base.errors import FAILURE_REASONS, ProtocolError
from zoom_iqa.base.types import Ending, Generation, ParseFailure, Sample, rated_example
from zoom_iqa.tasks.answer import (
    RATING_MAX,
    RATING_MIN,
    Answer,
    parse_answer,
    read_object,
    read_rating,
)
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.tools.crop import crop_box, crop_image
from zoom_iqa.tasks.zoom import StrictRules, ZoomSession

SECTIONS = ("Quality", "Improve", "Avoid", "Decision")
PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "{", "}", "[", "]", ",", ":", " ", "\n", "'", '"', "\\",
    '"bbox_2d"', "'bbox_2d'", '"rating"', "rating", '"tool"', '"crop"', '"final"', "[0.1, 0.2, 0.9, 0.8]",
    "[0, 0, 0, 0]", "3.52", "-1", "1e999", "NaN", "Infinity", "true", "null", "9" * 400, "Quality:", "Improve: x\n",
    "\ud800", "\0", "٣",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "<answer>{" + "".join(pieces) + "}</answer>"),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ).map(lambda value: f'<answer>{{"bbox_2d": {value!r}, "rating": {value!r}, "tool": {value!r}}}</answer>'),
)
NUMBERS = st.one_of(
    st.floats(), st.floats(0, 1), st.integers(), st.sampled_from([0, 1, 10**400, -(10**400), 5e-324, 1 - 2**-53])
)
BOXES = st.one_of(
    st.lists(NUMBERS, min_size=4, max_size=4),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).map(tuple),
    st.lists(st.floats(-50, 700), min_size=4, max_size=4),
    st.recursive(
        st.none() | st.booleans() | NUMBERS | st.complex_numbers() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    ),
)
SIDES = st.one_of(st.integers(1, 60), st.integers(1, 20_000))


@settings(max_examples=600, deadline=None)
@given(BOXES, SIDES, SIDES)
def test_the_box_lies_inside_the_image(bbox: Any, width: int, height: int) -> None:
    x1, y1, x2, y2 = crop_box(bbox, width, height)
    assert all(type(side) is int for side in (x1, y1, x2, y2))
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(56, 2000), st.integers(56, 2000))
def test_usable_boxes_keep_to_the_size_limits(bbox: list[float], width: int, height: int) -> None:
    x1, y1, x2, y2 = crop_box(bbox, width, height)
    assert x2 - x1 >= 28
    assert y2 - y1 >= 28
    # at most 75 %, unless a side had to be widened to 28, which is half of the image at most
    assert (x2 - x1) * (y2 - y1) <= 0.75 * width * height + width + height


@settings(max_examples=100, deadline=None)
@given(BOXES, st.integers(1, 80), st.integers(1, 80))
def test_the_crop_fits_the_image(bbox: Any, width: int, height: int) -> None:
    crop = crop_image(Image.new("RGB", (width, height)), bbox)
    assert 1 <= crop.width <= width
    assert 1 <= crop.height <= height


def outcome(read: Callable[[str], Any], text: str) -> Any:
    """What was read, or the reason why nothing was."""
    try:
        return read(text)
    except ProtocolError as error:
        return error.reason


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_any_text_is_an_answer_or_a_typed_failure(text: str) -> None:
    rating, answer = outcome(read_rating, text), outcome(parse_answer, text)
    if isinstance(rating, float):
        assert RATING_MIN <= rating <= RATING_MAX
    else:
        assert answer == rating in FAILURE_REASONS
    if isinstance(answer, Answer):
        assert answer.rating == rating
    else:
        assert answer in FAILURE_REASONS
    for start, end in read_object(text).numbers:
        assert set(text[start:end]) <= set("0123456789")
        assert start < end
    assert set(read_object(text).rating_digits) <= set(read_object(text).numbers)
    report = check_format(text, sections=SECTIONS, final_only=False)
    if report.ok:
        assert isinstance(answer, Answer)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=2))
def test_a_session_ends_whatever_is_said(texts: list[str]) -> None:
    prompts = PromptSet(
        questions=["Good?"],
        turn1="{question}",
        turn2="Look.",
        sections_turn1=SECTIONS,
        sections_turn2=SECTIONS,
        original_label="Original image: ",
        crop_label="Cropped Image: ",
        terse=True,
    )
    session = ZoomSession(
        sample=Sample.of(rated_example(id="i", dataset="d", mos=3.0), Image.new("RGB", (31, 17))),
        index=0,
        question="Good?",
        prompts=prompts,
        rules=StrictRules(),
        seed=0,
    )
    for text in texts:
        request = session.next_request()
        if request is None:
            break
        session.submit(Generation(request.key, text, (), (), (), "length"))
    rollout = session.rollout()
    assert rollout.ending is Ending.FINAL or not rollout.cropped
    assert isinstance(rollout.rating, ParseFailure) or RATING_MIN <= rollout.rating <= RATING_MAX

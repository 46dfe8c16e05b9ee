"""Answers read by hand: what counts, what is clipped, and why a text cannot be read."""

from __future__ import annotations

import pytest

from zoom_iqa.base.errors import ProtocolError
from zoom_iqa.tasks.answer import parse_answer, read_object, read_rating
from zoom_iqa.tasks.lenient_json import digits_of
from zoom_iqa.tasks.released import ReleasedRules
from zoom_iqa.tasks.zoom import StrictRules


def wrap(payload: str) -> str:
    return f"<think>words</think><answer>{payload}</answer>"


def test_a_crop_answer_is_read_as_written() -> None:
    answer = parse_answer(wrap('{"bbox_2d": [0.1, 0.25, 0.5, 0.75], "rating": 3.52, "tool": "crop"}'))
    assert answer.bbox == (0.1, 0.25, 0.5, 0.75)
    assert answer.rating == 3.52
    assert answer.tool == "crop"
    assert answer.wants_crop


@pytest.mark.parametrize(
    ("payload", "wants"),
    [
        ('{"bbox_2d": [0, 0, 0, 0], "rating": 3.52, "tool": "final"}', False),
        ('{"bbox_2d": [0, 0, 0, 0], "rating": 3.52, "tool": "crop"}', False),
        ('{"bbox_2d": [0, 0, 0, 1], "rating": 3.52, "tool": "crop"}', True),
        ('{"bbox_2d": [0.2, 0.2, 0.9, 0.9], "rating": 3.52, "tool": "final"}', False),
        ('{"bbox_2d": [-10, 90, 200, 90], "rating": 3, "tool": "crop"}', True),
    ],
)
def test_a_crop_is_wanted_unless_final_or_all_zero(payload: str, wants: bool) -> None:
    assert parse_answer(wrap(payload)).wants_crop is wants


def test_the_first_answer_object_counts() -> None:
    text = '<answer>3.5</answer> <answer> {"rating": 2.00} </answer><answer>{"rating": 4.00}</answer>'
    assert read_rating(text) == 2.0


def test_an_answer_may_span_lines() -> None:
    assert read_rating('<answer>\n{\n"rating":\n 4.25 }\n</answer>') == 4.25


@pytest.mark.parametrize(
    "payload",
    [
        "{'bbox_2d': [0, 0, 0, 0], 'rating': 3.25, 'tool': 'final'}",
        r"""{'bbox_2d': [0, 0, 0, 0], 'rating': 3.25, 'tool': 'final', 'why': 'a \"soft\" one, isn\'t "it"\n'}""",
        '{"bbox_2d": [0, 0, 0, 0,], "rating": 3.25, "tool": "final",}',
        "{'bbox_2d': [0, 0, 0, 0 , ], \"rating\": 3.25, 'tool': \"final\" ,\n}",
        '{"bbox_2d": [+0, 0, 0, 0], "rating": +3.25, "tool": "final"}',
        '{"bbox_2d": ["+0", 0, 0, 0], "rating":+3.25, "tool": "final",}',
        '```json\n{"bbox_2d": [0, 0, 0, 0], "rating": 3.25, "tool": "final"}\n```',
        '\n ```\n{"bbox_2d": [0, 0, 0, 0], "rating": 3.25, "tool": "final"}``` ',
        '{\'note\': \'it\\\'s "fine", [x,] \', "bbox_2d": [0,0,0,0], "rating": 3.25, "tool": "final",}',
    ],
)
def test_lenient_json(payload: str) -> None:
    answer = parse_answer(wrap(payload))
    assert answer.rating == 3.25
    assert answer.tool == "final"


def test_leniency_does_not_touch_commas_inside_strings() -> None:
    with pytest.raises(ProtocolError, match=r"crop,\}"):
        parse_answer(wrap("{'bbox_2d': [0, 0, 0, 0], 'rating': 3.25, 'tool': 'crop,}'}"))


@pytest.mark.parametrize(
    ("rating", "expected"),
    [("0", 1.0), ("-3.2", 1.0), ("1", 1.0), ("5.01", 5.0), ("1e6", 5.0), ('"4.20"', 4.2), ("9" * 300, 5.0)],
)
def test_ratings_are_clipped(rating: str, expected: float) -> None:
    assert read_rating(wrap(f'{{"rating": {rating}}}')) == expected


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("3.52", {"rating": 3.52}),
        ("1", {"rating": 1.0}),
        ("5.00", {"rating": 5.0}),
        ("5.01", {"rating": 5.0, "written_rating": 5.01}),
        ('"-3"', {"rating": 1.0, "written_rating": -3.0}),
    ],
)
def test_readings_keep_the_number_that_was_clipped(written: str, values: dict[str, float]) -> None:
    text = wrap(f'{{"bbox_2d": [0, 0, 0, 0], "rating": {written}, "tool": "final"}}')
    for read in (StrictRules().read, ReleasedRules().read):
        reading = read(text, sections=("A", "B", "C", "D"), final_only=False)
        assert reading.values == values
        assert reading.clipped is (len(values) == 2)


@pytest.mark.parametrize(
    "rating",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "true",
        "null",
        '"good"',
        '"nan"',
        '"1_0"',
        '"+-3.5"',
        '"--3"',
        '""',
        "[3]",
        "{}",
        "9" * 5000,
    ],
)
def test_what_is_no_finite_number_is_a_bad_rating(rating: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_rating(wrap(f'{{"rating": {rating}}}'))
    assert caught.value.reason == "bad_rating"
    assert len(str(caught.value)) < 200


def test_scoring_needs_only_the_rating_but_routing_needs_every_key() -> None:
    text = wrap('{"rating": 3.25}')
    assert read_rating(text) == 3.25
    with pytest.raises(ProtocolError) as caught:
        parse_answer(text)
    assert caught.value.reason == "bad_bbox"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing_answer"),
        ("<answer>3.5</answer>", "missing_answer"),
        ('<answer>{"rating": 3.5}', "missing_answer"),
        ('<answer>{"rating": 3.5}</Answer>', "missing_answer"),
        (wrap("{rating: 3.5}"), "malformed_json"),
        (wrap('{"rating": 3+25}'), "malformed_json"),
        (wrap('{"rating": ++3.25}'), "malformed_json"),
        (wrap('{"rating": + 3.25}'), "malformed_json"),
        (wrap('```yaml\n{"rating": 3.25}\n```'), "missing_answer"),
        ('<ANSWER>{"rating": 3.25}</answer>', "missing_answer"),
        (wrap('{"rating": 3.5}}'), "malformed_json"),
        (wrap('{"a":' * 100_000 + "}"), "malformed_json"),
        (wrap("{" + "[" * 100_000 + "}"), "malformed_json"),
        (wrap('{"bbox_2d": [0, 0, 0, 0], "tool": "final"}'), "bad_rating"),
        (wrap('{"bbox_2d": [0, 0, 0], "rating": 3.5, "tool": "crop"}'), "bad_bbox"),
        (wrap('{"bbox_2d": "0,0,1,1", "rating": 3.5, "tool": "crop"}'), "bad_bbox"),
        (wrap('{"bbox_2d": [0, 0, 1, NaN], "rating": 3.5, "tool": "crop"}'), "bad_bbox"),
        (wrap('{"bbox_2d": [0, 0, 1, true], "rating": 3.5, "tool": "crop"}'), "bad_bbox"),
        (wrap('{"bbox_2d": [0, 0, 1, [1]], "rating": 3.5, "tool": "crop"}'), "bad_bbox"),
        (wrap('{"bbox_2d": [0, 0, 1, 1], "rating": 3.5}'), "bad_tool"),
        (wrap('{"bbox_2d": [0, 0, 1, 1], "rating": 3.5, "tool": "zoom"}'), "bad_tool"),
        (wrap('{"bbox_2d": [0, 0, 1, 1], "rating": 3.5, "tool": ["crop"]}'), "bad_tool"),
    ],
)
def test_each_failure_has_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_answer(text)
    assert caught.value.reason == reason


def test_numbers_are_located_digit_by_digit() -> None:
    text = 'about 7 <answer>{"bbox_2d": [0.10, 0.2, 30, -4e1], "rating": 3.52, "tool": "crop"}</answer> 9'
    spans = read_object(text).numbers
    assert [text[start:end] for start, end in spans] == ["0", "10", "0", "2", "30", "4", "1", "3", "52"]
    assert [text[start:end] for start, end in read_object(text).rating_digits] == ["3", "52"]
    assert read_object(text).rating_digits == spans[-2:]


@pytest.mark.parametrize(
    ("before", "decided"),
    [
        ("the score is 3.52", "the score is "),
        ("3.52, not 13.52 or 3.521, hence 3.52", ""),
        ("no 3.5, no -3.52, no 3.525, no 13.52", None),
        ("no number", None),
    ],
)
def test_a_rating_is_decided_where_the_text_first_writes_it(before: str, decided: str | None) -> None:
    text = before + wrap('{"bbox_2d": [0, 0, 0, 0], "rating": 3.52, "tool": "final"}')
    found = read_object(text)
    assert [text[start:end] for start, end in found.deciding_digits] == ["3", "52"]
    if decided is None:
        assert found.deciding_digits == found.rating_digits
    else:
        assert found.deciding_digits[0][0] == len(decided)


def test_a_box_with_the_digits_of_the_rating_does_not_decide_it() -> None:
    found = read_object(wrap('{"bbox_2d": [0.50, 0.50, 1.00, 1.00], "rating": 1.00, "tool": "crop"}'))
    assert found.deciding_digits == found.rating_digits


@pytest.mark.parametrize("aside", ["a box of [0.00, 0.00, 1.00, 5.00]", "a scale from 1.00 to 5.00", "1.00-5.00"])
def test_a_box_or_a_scale_in_the_thought_does_not_decide_it(aside: str) -> None:
    text = f"<think>{aside}: I rate it 5.00.</think>" + wrap('{"rating": 5.00}')
    (start, end), _ = read_object(text).deciding_digits
    assert (text[:start][-10:], text[start:end]) == ("I rate it ", "5")


@pytest.mark.parametrize("rest", ['} {"rating": 4.75}', "/2}"])
def test_digits_that_are_not_of_the_number_read_are_not_located(rest: str) -> None:
    text = '{"rating": 3.25' + rest
    located = [text[start:end] for start, end in digits_of("rating", text, 0, len(text))]
    assert located == (["3", "25"] if rest.startswith("}") else [])


def test_a_rating_without_decimals_is_decided_in_the_answer() -> None:
    text = "of 4 windows" + wrap('{"rating": 4}')
    place = text.rindex("4")
    assert read_object(text).deciding_digits == read_object(text).rating_digits == [(place, place + 1)]


def test_digits_are_located_in_a_fence_after_a_sign_and_behind_bare_keys() -> None:
    text = wrap('```json\n{bbox_2d: [0.1, x9], rating: +3.52, "note": "about 7"}\n```')
    assert [text[start:end] for start, end in read_object(text).numbers] == ["0", "1", "3", "52"]
    assert [text[start:end] for start, end in read_object(text).rating_digits] == ["3", "52"]


def test_numbers_in_keys_and_words_are_not_located() -> None:
    text = wrap("{'rating2': 1.50, '7': 2, 'tool': 'crop2', 'rating': '4.75'}")
    assert [text[start:end] for start, end in read_object(text).numbers] == ["1", "50", "2", "4", "75"]
    assert [text[start:end] for start, end in read_object(text).rating_digits] == ["4", "75"]


def test_a_repeated_rating_is_located_where_it_is_read() -> None:
    text = wrap('{"rating": 1.00, "rating": 2.50}')
    assert read_rating(text) == 2.5
    assert [text[start:end] for start, end in read_object(text).rating_digits] == ["2", "50"]


@pytest.mark.parametrize("text", ["", "3.5", "<answer>3.5</answer>", '<answer>{"rating": [}</answer>'])
def test_without_a_rating_nothing_is_located(text: str) -> None:
    assert read_object(text).rating_digits == []
    assert read_object(text).numbers == []


@pytest.mark.parametrize("answer", ['{"rating": "\\ud83d", "tool": "final"}', '{"rating": 3.0, "tool": "\\ud83d"}'])
def test_half_a_character_in_an_answer_can_be_written_down(answer: str) -> None:
    text = f'<answer>{answer[:-1]}, "bbox_2d": [0, 0, 0, 0]}}</answer>'
    with pytest.raises(ProtocolError) as error:
        parse_answer(text)
    assert r"is \ud83d;" in error.value.detail.encode("utf-8").decode()


def test_the_digits_of_a_rating_are_those_of_the_value_that_is_read() -> None:
    text = '<answer>{"rating": 3.52, "evidence": [{"rating": 1.20, "severity": {"rating": 2}}]}</answer>'
    found = read_object(text)
    assert found.rating() == 3.52
    assert [text[start:end] for start, end in found.rating_digits] == ["3", "52"]


def test_a_negative_rating_is_no_copy_of_a_positive_number() -> None:
    found = read_object('I say 3.52.<answer>{"rating": -3.52}</answer>')
    assert found.rating() == 1.0
    assert found.deciding_digits == found.rating_digits

"""Turns of a chain are read into calls or an answer with evidence, and held to their format."""

from __future__ import annotations

import pytest

from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.types import ToolCall
from zoom_iqa.tasks.chain_reading import read_chain_turn

CALL = '<zoom>{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "look_for": "blur"}</zoom>'
ANSWER = (
    '<answer>{"rating": 2.35, "evidence": [{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "defect": "blur", "severity": "clear"}]}'
    "</answer>"
)
THOUGHT = "<think>maybe blur</think>"
ZOOM = ToolCall(tool="zoom", bbox=(0.1, 0.2, 0.5, 0.6), look_for="blur")


def test_calls_are_read_in_order() -> None:
    second = CALL.replace("0.1", "0.3").replace("blur", "noise")
    reading = read_chain_turn(f"{THOUGHT}{CALL}\n{second}")
    assert reading.calls == (ZOOM, ToolCall(tool="zoom", bbox=(0.3, 0.2, 0.5, 0.6), look_for="noise"))
    assert reading.well_formed
    assert reading.failure is not None
    assert reading.failure.reason == "missing_answer"


def test_an_answer_has_its_evidence_and_places_of_digits() -> None:
    text = THOUGHT + ANSWER
    reading = read_chain_turn(text)
    assert reading.rating == 2.35
    assert reading.evidence == (Evidence(bbox=(0.1, 0.2, 0.5, 0.6), defect="blur", severity="clear"),)
    assert reading.well_formed
    assert [text[a:b] for a, b in reading.spans["rating"]] == ["2", "35"]
    assert [text[a:b] for a, b in reading.spans["numbers"]] == ["2", "35", *"01020506"]


def test_an_answer_may_have_no_evidence() -> None:
    reading = read_chain_turn(f'{THOUGHT}<answer>{{"rating": 4.60, "evidence": []}}</answer>')
    assert (reading.rating, reading.evidence, reading.well_formed) == (4.6, (), True)


def test_a_rating_is_decided_in_the_thought_that_names_it_first() -> None:
    thought = "<think>Soft all over. The score is "
    text = f'{thought}2.35.</think><answer>{{"rating": 2.35, "evidence": []}}</answer>'
    spans = read_chain_turn(text).spans
    assert spans["decided"] == ((len(thought), len(thought) + 1), (len(thought) + 2, len(thought) + 4))
    assert spans["rating"][0][0] == text.rindex("2.35")


def test_thoughts_are_not_read() -> None:
    """Calls and answers inside a thought are talk, and so is what imitates a reply."""
    reading = read_chain_turn(f"<think>{ANSWER} Crop 1: {CALL}</think>{CALL}")
    assert (reading.calls, reading.evidence) == ((ZOOM,), None)
    assert reading.failure is not None


PROBLEMS = {
    "no JSON": ("<zoom>upper left</zoom>", "no JSON"),
    "no object": ("<zoom>[0.1, 0.2, 0.5, 0.6]</zoom>", "no JSON object"),
    "three numbers": ('<zoom>{"bbox_2d": [0.1, 0.2, 0.5], "look_for": "blur"}</zoom>', "four numbers"),
    "a word": ('<zoom>{"bbox_2d": [0.1, 0.2, 0.5, "x"], "look_for": "blur"}</zoom>', "four numbers"),
    "infinite": ('<zoom>{"bbox_2d": [0.1, 0.2, 0.5, 1e999], "look_for": "blur"}</zoom>', "four numbers"),
    "no box": ('<zoom>{"look_for": "blur"}</zoom>', "four numbers"),
    "not closed": (CALL.removesuffix("</zoom>"), "not closed"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_call_that_cannot_be_served_says_why(name: str) -> None:
    text, problem = PROBLEMS[name]
    reading = read_chain_turn(THOUGHT + text)
    (call,) = reading.calls
    assert problem in str(call.problem)
    assert call.bbox is None
    assert not reading.well_formed


def test_a_reason_may_hold_a_sign_of_tags() -> None:
    text = THOUGHT + CALL.replace("blur", "area < 5") + CALL
    assert read_chain_turn(text).well_formed
    assert not read_chain_turn(text.replace("</zoom><zoom>", "<zoom>")).well_formed


def test_lenient_calls_are_served_and_ill_formed() -> None:
    reading = read_chain_turn(f"{THOUGHT}<zoom>{{'bbox_2d': [+0.1, 0.2, 0.5, 0.6,], 'look_for': 'blur'}}</zoom>")
    assert (reading.calls, reading.well_formed) == ((ZOOM,), False)


ILL_FORMED = {
    "no thought": CALL,
    "empty thought": f"<think> </think>{CALL}",
    "two thoughts": f"{THOUGHT}{THOUGHT}{CALL}",
    "words between": f"{THOUGHT}so {CALL}",
    "words after": f"{THOUGHT}{CALL} so",
    "imitated reply": f"{THOUGHT}{CALL}Crop 1: it is sharp{CALL}",
    "call and answer": f"{THOUGHT}{CALL}{ANSWER}",
    "answer and call": f"{THOUGHT}{ANSWER}{CALL}",
    "nothing": THOUGHT,
    "a box in pixels": THOUGHT + CALL.replace("0.1, 0.2, 0.5, 0.6", "10, 20, 50, 60"),
    "an empty box": THOUGHT + CALL.replace("0.5", "0.1"),
    "a box upside down": THOUGHT + CALL.replace("0.1, 0.2, 0.5, 0.6", "0.1, 0.9, 0.5, 0.2"),
    "a box beyond the bottom": THOUGHT + CALL.replace("0.6", "1.2"),
    "no reason": THOUGHT + CALL.replace("blur", ""),
    "a further key": THOUGHT + CALL.replace('"look_for"', '"tool": "zoom", "look_for"'),
    "a key twice": THOUGHT + CALL.replace('"look_for"', '"look_for": "noise", "look_for"'),
    "one decimal": THOUGHT + ANSWER.replace("2.35", "2.4"),
    "beyond the scale": THOUGHT + ANSWER.replace("2.35", "5.35"),
    "no evidence key": f'{THOUGHT}<answer>{{"rating": 2.35}}</answer>',
    "evidence that is none": f'{THOUGHT}<answer>{{"rating": 2.35, "evidence": ["blur"]}}</answer>',
    "an unknown severity": THOUGHT + ANSWER.replace("clear", "awful"),
    "a fence": THOUGHT + ANSWER.replace("<answer>", "<answer>```json").replace("</answer>", "```</answer>"),
}


@pytest.mark.parametrize("name", ILL_FORMED)
def test_ill_formed_turns(name: str) -> None:
    assert not read_chain_turn(ILL_FORMED[name]).well_formed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (THOUGHT, "missing_answer"),
        ("<answer>2.35</answer>", "missing_answer"),
        ('<answer>{"rating": 2.35, "evidence": [}</answer>', "malformed_json"),
        ('<answer>{"rating": "good", "evidence": []}</answer>', "bad_rating"),
    ],
)
def test_a_rating_that_is_missing_has_its_reason(text: str, reason: str) -> None:
    failure = read_chain_turn(text).failure
    assert failure is not None
    assert failure.reason == reason


def test_evidence_that_cannot_be_read_is_left_out() -> None:
    listed = '[1, "x", {"defect": "blur"}, {"bbox_2d": [0, 0, 1, 1], "defect": "noise"}, {"bbox_2d": [0, 0, 1, 1]}]'
    reading = read_chain_turn(f'{THOUGHT}<answer>{{"rating": 2.35, "evidence": {listed}}}</answer>')
    assert reading.evidence == (Evidence(bbox=(0.0, 0.0, 1.0, 1.0), defect="noise", severity=""),)
    assert reading.rating == 2.35


def test_evidence_of_which_none_can_be_read_does_not_say_that_there_is_none() -> None:
    reading = read_chain_turn(f'{THOUGHT}<answer>{{"rating": 4.9, "evidence": [1, {{"defect": "blur"}}]}}</answer>')
    assert (reading.rating, reading.evidence) == (4.9, None)


def test_halves_of_characters_become_question_marks() -> None:
    reading = read_chain_turn(THOUGHT + CALL.replace("blur", "\\ud800"))
    assert reading.calls[0].look_for == "?"

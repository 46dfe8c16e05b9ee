"""Each requirement of the format broken alone, and the report that names it."""

from __future__ import annotations

import pytest

from support.checked_format import check_format, violations_of
from zoom_iqa.tasks.format import paragraphs

SECTIONS = ("Image Quality Summary", "Directions for Improvement", "Issues to Avoid", "Decision & Rationale")
THOUGHT = """
Image Quality Summary: The image is soft.
Directions for Improvement (positive only): A crisp face.
3) Issues to Avoid: Blur on the face.
Decision & Rationale: The rating is 2.50: a closer look helps.
"""
CROP = '{"bbox_2d": [0.10, 0.20, 0.60, 0.70], "rating": 2.50, "tool": "crop"}'
FINAL = '{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final"}'


def output(thought: str = THOUGHT, answer: str = CROP) -> str:
    return f"<think>{thought}</think><answer>{answer}</answer>"


def violations(text: str, final_only: bool = False) -> tuple[str, ...]:
    report = check_format(text, sections=SECTIONS, final_only=final_only)
    assert report.ok is (violations_of(report) == ())
    return violations_of(report)


@pytest.mark.parametrize("answer", [CROP, FINAL, CROP.replace("2.50", "5.00"), CROP.replace("2.50", "1.00")])
def test_good_outputs(answer: str) -> None:
    assert violations(output(answer=answer)) == ()
    assert violations("  " + output(answer=f"\n{answer}\n").replace("</think><", "</think>\n<") + "\n") == ()


def test_the_second_turn_must_be_final() -> None:
    assert violations(output(answer=FINAL), final_only=True) == ()
    assert violations(output(), final_only=True) == ("tool", "bbox")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (CROP.replace("2.50", "2.5"), ("rating",)),
        (CROP.replace("2.50", "2.500"), ("rating",)),
        (CROP.replace("2.50", "5.01"), ("rating",)),
        (CROP.replace("2.50", "0.99"), ("rating",)),
        (CROP.replace("2.50", '"2.50"'), ("rating",)),
        (CROP.replace("2.50", "NaN"), ("rating",)),
        (CROP.replace("2.50", "true"), ("rating",)),
        (CROP.replace('"crop"', '"zoom"'), ("tool",)),
        (CROP.replace('"crop"', '["crop"]'), ("tool",)),
        (CROP.replace('"crop"', '"final"'), ("bbox",)),
        (FINAL.replace('"final"', '"crop"'), ("bbox",)),
        (CROP.replace("0.60", "0.10"), ("bbox",)),
        (CROP.replace("0.70", "0.10"), ("bbox",)),
        (CROP.replace("0.60", "1.01"), ("bbox",)),
        (CROP.replace("0.10", "-0.10"), ("bbox",)),
        (CROP.replace("0.60", "Infinity"), ("bbox",)),
        (CROP.replace("0.60", '"0.60"'), ("bbox",)),
        (CROP.replace(", 0.70", ""), ("bbox",)),
        (CROP.replace("}", ', "why": 1}'), ("keys",)),
        (CROP.replace("}", ', "tool": "crop"}'), ("keys",)),
        (CROP.replace('"tool": "crop"', '"tools": "crop"'), ("keys", "tool")),
        (CROP.replace('"', "'"), ("json", "keys", "rating", "tool", "bbox")),
        (f"```json\n{CROP}\n```", ("json",)),
        (CROP.replace("2.50", "+2.50"), ("json", "keys", "rating", "tool", "bbox")),
        ("[1]", ("json", "keys", "rating", "tool", "bbox")),
        ("", ("json", "keys", "rating", "tool", "bbox")),
    ],
)
def test_each_requirement_of_the_answer(answer: str, expected: tuple[str, ...]) -> None:
    assert violations(output(answer=answer)) == expected


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        (THOUGHT.replace(" The image is soft.", ""), ("sections_filled",)),
        (THOUGHT.replace(" The rating is 2.50: a closer look helps.\n", ""), ("sections_filled",)),
        (THOUGHT.replace("3) Issues to Avoid", "3) Issues"), ("sections_in_order", "sections_filled")),
        (THOUGHT.replace("\n3) Issues", " 3) Issues"), ("sections_in_order", "sections_filled")),
        ("First of all," + THOUGHT, ("sections_in_order", "sections_filled")),
        (THOUGHT + "Issues to Avoid: more.", ("sections_in_order", "sections_filled")),
        ("\n".join(reversed(THOUGHT.strip().split("\n"))), ("sections_in_order", "sections_filled")),
        ("", ("sections_in_order", "sections_filled")),
    ],
)
def test_each_requirement_of_the_thought(thought: str, expected: tuple[str, ...]) -> None:
    assert violations(output(thought=thought)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (output() + " thanks", ("only_tags",)),
        ("Sure: " + output(), ("only_tags",)),
        (output().replace("</think><", "</think> so <"), ("only_tags",)),
        (f"<answer>{CROP}</answer><think>{THOUGHT}</think>", ("only_tags",)),
        (output() + f"<answer>{CROP}</answer>", ("one_answer", "only_tags")),
        (output() + "</think>", ("one_think", "only_tags")),
        (f"<think>{THOUGHT}<answer>{CROP}</answer></think>", ("only_tags",)),
        (f"<answer>{CROP}</answer>", ("one_think", "only_tags", "sections_in_order", "sections_filled")),
        (
            f"<think>{THOUGHT}</think>",
            ("one_answer", "only_tags", "json", "keys", "rating", "tool", "bbox"),
        ),
    ],
)
def test_each_requirement_of_the_tags(text: str, expected: tuple[str, ...]) -> None:
    assert violations(text) == expected


def test_every_requirement_is_listed_by_name() -> None:
    names = [name for name, _ in check_format("", sections=SECTIONS, final_only=True).requirements]
    assert names == [
        "one_think", "one_answer", "only_tags", "sections_in_order", "sections_filled",
        "json", "keys", "rating", "tool", "bbox",
    ]  # fmt: skip
    assert len(violations("")) == len(names)


def test_paragraphs_are_found_whatever_else_is_wrong() -> None:
    expected = {
        "Image Quality Summary": "The image is soft.",
        "Directions for Improvement": "A crisp face.",
        "Issues to Avoid": "Blur on the face.",
        "Decision & Rationale": "The rating is 2.50: a closer look helps.",
    }
    assert paragraphs(output(), SECTIONS) == expected
    assert paragraphs(THOUGHT, SECTIONS) == expected
    assert paragraphs(f"{THOUGHT}<answer>Issues to Avoid: no", SECTIONS) == expected
    swapped = "Issues to Avoid: Blur.\nImage Quality Summary: Soft.\nIssues to Avoid: again"
    assert paragraphs(swapped, SECTIONS) == {
        "Issues to Avoid": "Blur.",
        "Image Quality Summary": "Soft.\nIssues to Avoid: again",
    }
    assert paragraphs("no label at all", SECTIONS) == {}
    assert paragraphs("Issues to Avoid:  \n", SECTIONS) == {}

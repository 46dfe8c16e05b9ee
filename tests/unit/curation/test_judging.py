"""Reading a judge's grades, and the figures made of them, against numbers computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.made_rollouts import rollout, step
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record, record_of
from zoom_iqa.base.types import rated_example
from zoom_iqa.curation.judge_figures import judge_figures
from zoom_iqa.curation.judge_step import questions_about
from zoom_iqa.curation.judging import (
    Control,
    Judgement,
    JudgementCodec,
    JudgePrompt,
    conclusion_of,
)
from zoom_iqa.curation.texts import digest_of
from zoom_iqa.tasks.grades import CRITERIA, read_grades

PROMPT = JudgePrompt(
    text="{hints} {text} <accuracy> <reasonableness> <completeness> <confidence>",
    template="any image",
    opposite_of_good="terrible",
    opposite_of_bad="splendid",
)


def tags(*grades: object) -> str:
    return " because ".join(f"<{name}>{grade}</{name}>" for name, grade in zip(CRITERIA, grades, strict=True))


def judgement(
    image: str, *grades: object, system: str = "a", control: Control | None = None, repeat: int = 0
) -> Judgement:
    return Judgement(
        system=system,
        dataset="d",
        id=image,
        control=control,
        repeat=repeat,
        about=digest_of("words"),
        text=tags(*grades),
        finish="stop",
    )


def test_grades_are_whole_numbers_in_their_tags() -> None:
    assert read_grades(tags(9, " 1 ", "05", 7), "stop") == dict(zip(CRITERIA, (9, 1, 5, 7), strict=True))


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", "missing_criterion"),
        (tags(9, 1, 5, 7).replace("<accuracy>9</accuracy>", ""), "missing_criterion"),
        (tags(9, 1, 5, 7) + "<accuracy>9</accuracy>", "missing_criterion"),
        (tags("nine", 1, 5, 7), "missing_criterion"),
        (tags(8.5, 1, 5, 7), "missing_criterion"),
        (tags("", 1, 5, 7), "missing_criterion"),
        (tags(0, 1, 5, 7), "grade_out_of_range"),
        (tags(10, 1, 5, 7), "grade_out_of_range"),
        (tags("9" * 5000, 1, 5, 7), "grade_out_of_range"),
    ],
)
def test_what_cannot_be_read_is_typed(text: str, failure: str) -> None:
    assert read_grades(text, "stop") == failure


def test_an_answer_that_did_not_end_is_typed_by_its_end() -> None:
    assert [read_grades(tags(1, 1, 1, 1), finish) for finish in ("length", "refused", "failed")] == [
        "length",
        "refused",
        "failed",
    ]


def test_figures_of_a_system() -> None:
    """Image x: 6 and 8, mean 7, deviation sqrt 2; image y: 4; the template of x: 3, the opposite of y: 3."""
    judged = [
        judgement("x", 6, 1, 1, 1),
        judgement("x", 8, 1, 1, 1, repeat=1),
        judgement("y", 4, 1, 1, 1),
        judgement("y", 99, 1, 1, 1, repeat=1),
        judgement("x", 3, 1, 1, 1, control="template"),
        judgement("y", 3, 1, 1, 1, control="opposite"),
    ]
    found = judge_figures(judged, n_resamples=50, seed=0)["a"]
    assert found["images"] == 2
    assert found["failures"] == {"grade_out_of_range": 1}
    accuracy = found["criteria"]["accuracy"]
    assert accuracy["mean"] == pytest.approx((7 + 4) / 2)
    assert accuracy["spread_over_repeats"] == pytest.approx(2**0.5)
    assert accuracy["interval"] is None  # two images are no sample
    assert found["controls"]["template"]["n"] == 1
    assert found["controls"]["template"]["accuracy"]["lower_by"] == pytest.approx(7 - 3)
    assert found["controls"]["opposite"]["accuracy"]["lower_by"] == pytest.approx(4 - 3)
    assert found["controls"]["swapped"]["accuracy"]["lower_by"] is None


def record(name: str, mos: float, *texts: str) -> Record:
    steps = [step(3.0, text=text) for text in texts]
    return record_of(rollout(rated_example(id=name, dataset="d", mos=mos), *steps))


def test_questions_hide_systems_and_hold_every_control() -> None:
    systems = {"a": [record("x", 4.5, "fine"), record("y", 1.5, "poor"), record("z", 3.0, " ")]}
    asked = questions_about(systems, prompt=PROMPT, repeats=2, controls=True, seed=0)
    assert len({one.place for one in asked}) == len(asked)
    own = [one for one in asked if one.control is None]
    assert sorted((one.id, one.repeat) for one in own) == [("x", 0), ("x", 1), ("y", 0), ("y", 1)]
    opposite = {one.id: one.judged for one in asked if one.control == "opposite"}
    assert opposite == {"x": "terrible", "y": "splendid"}
    assert {one.judged for one in asked if one.control == "template"} == {"any image"}
    assert {one.id: one.judged for one in asked if one.control == "swapped"} == {"x": "poor", "y": "fine"}
    assert asked != questions_about(systems, prompt=PROMPT, repeats=2, controls=True, seed=1)
    assert set(asked) == set(questions_about(systems, prompt=PROMPT, repeats=2, controls=True, seed=1))


def test_of_an_images_answers_the_first_counts() -> None:
    first, later = record("x", 4.5, "early"), record("x", 4.5, "late")
    second_sample = replace(record("y", 4.5, "another"), sample=1)
    asked = questions_about({"a": [first, later, second_sample]}, prompt=PROMPT, repeats=1, controls=False, seed=0)
    assert [one.judged for one in asked] == ["early"]


def test_a_text_of_two_turns_is_judged_by_its_conclusion() -> None:
    first, last = "<think>too early</think><answer>{}</answer>", "<think>in the end</think><answer>{}</answer>"
    assert conclusion_of(record("x", 3.0, first, last)) == "in the end"
    assert conclusion_of(record("x", 3.0, "no tags")) == "no tags"


def test_a_prompt_asks_for_every_criterion() -> None:
    with pytest.raises(ConfigError, match=r"prompt\.text asks for no <confidence>"):
        JudgePrompt(
            text="{hints} {text} <accuracy> <reasonableness> <completeness>",
            template="",
            opposite_of_good="",
            opposite_of_bad="",
        )


def test_a_line_that_names_no_words_is_read_and_is_about_none() -> None:
    """As older folders have them."""
    line = {"system": "a", "dataset": "d", "id": "x", "control": None, "repeat": 0, "text": "t", "finish": "stop"}
    codec = JudgementCodec()
    old = codec.decode(line)
    (asked,) = questions_about({"a": [record("x", 4.5, "fine")]}, prompt=PROMPT, repeats=1, controls=False, seed=0)
    assert codec.key(old) != asked.place
    assert codec.key(codec.decode({**line, "about": digest_of("fine")})) == asked.place

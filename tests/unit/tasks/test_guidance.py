"""Prompts for restorers: whole sentences within the budget, in order, and a call that Python reads."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.tasks.guidance import INSTRUCTION, TARGETS, Target, estimated_tokens, guidance, sentences

DIRECTIONS = [
    "The face is sharp down to the lashes. The sky is smooth and deep blue.",
    "The lettering is crisp. The face is sharp down to the lashes.",
]
ISSUES = ["Blur on the face.\nBanding in the sky"]


def plain(budget: int | None) -> Target:
    return Target(negative="yes", budget=budget, instruction=False, call=None)


def words(text: str) -> int:
    return len(text.split())


def test_sentences_are_split_said_once_and_nothing_is_nothing() -> None:
    assert sentences(DIRECTIONS) == [
        "The face is sharp down to the lashes.",
        "The sky is smooth and deep blue.",
        "The lettering is crisp.",
    ]
    assert sentences(ISSUES) == ["Blur on the face.", "Banding in the sky"]
    assert sentences(["nothing", "None.", " ", "No issues!", "blur", "Blur."]) == ["blur"]
    assert sentences(["It is 2.5 stops dark. Rated f/2.8."]) == ["It is 2.5 stops dark.", "Rated f/2.8."]


def test_without_a_budget_everything_is_said() -> None:
    made = guidance(DIRECTIONS, ISSUES, target=plain(None), count=words)
    assert made.prompt.text == (
        "The face is sharp down to the lashes. The sky is smooth and deep blue. The lettering is crisp."
    )
    assert made.prompt.tokens == 19
    assert made.negative is not None
    assert made.negative.text == "Blur on the face. Banding in the sky"
    assert made.prompt.left_out == made.negative.left_out == ()


def test_a_sentence_without_room_is_left_out_whole_and_a_shorter_one_may_fit() -> None:
    made = guidance(DIRECTIONS, ISSUES, target=plain(12), count=words)  # 8 words, then 7, then 4
    assert made.prompt.text == "The face is sharp down to the lashes. The lettering is crisp."
    assert made.prompt.left_out == ("The sky is smooth and deep blue.",)
    tight = guidance(DIRECTIONS, ISSUES, target=plain(3), count=words)
    assert (tight.prompt.text, tight.prompt.tokens, len(tight.prompt.left_out)) == ("", 0, 3)


def test_clauses_become_an_enumeration() -> None:
    made = guidance(["crisp edges", "clean surfaces", "Full colours."], [], target=plain(None))
    assert made.prompt.text == "crisp edges, clean surfaces, Full colours."


def test_flags_decide_what_is_handed_over() -> None:
    made = {name: guidance(DIRECTIONS, ISSUES, target=target) for name, target in TARGETS.items()}
    assert made["dreamclear"].negative is None
    assert made["dreamclear"].arguments() == {"prompt": made["plain"].prompt.text}
    assert set(made["sd-upscale"].arguments()) == {"prompt", "negative_prompt"}
    for name in ("flux-kontext", "qwen-edit"):
        assert made[name].prompt.text == f"{INSTRUCTION} {made['plain'].prompt.text}"
        scale = made[name].arguments()["true_cfg_scale"]
        assert isinstance(scale, float)
        assert scale > 1  # or the negative prompt is not looked at
        without = guidance(DIRECTIONS, ["nothing"], target=TARGETS[name]).arguments()
        assert set(without) == {"prompt"}


def test_no_direction_is_no_prompt_at_all() -> None:
    assert guidance([], ISSUES, target=TARGETS["qwen-edit"]).prompt.text == ""


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "plain"])
def test_calls_are_python_and_carry_the_prompts_whatever_they_hold(name: str) -> None:
    odd = 'a "quoted" \\ {sky}\u202e \U0001f600'
    made = guidance([odd], ["blur"], target=TARGETS[name])
    call = made.call('photo "1" \U0001f600\udcff.jpg')
    assert call is not None
    assert call.isascii()
    constants = [node.value for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Constant)]
    assert made.prompt.text in constants
    assert 'photo "1" \U0001f600\udcff.jpg' in constants
    assert ("blur" in constants) is (made.negative is not None)


def test_plain_has_no_call() -> None:
    assert guidance(DIRECTIONS, ISSUES, target=TARGETS["plain"]).call("x.jpg") is None


def test_budgets_are_those_of_the_text_encoders() -> None:
    budgets = {name: target.budget for name, target in TARGETS.items()}
    assert budgets == {
        "supir": 77 - 2,
        "dreamclear": 120 - 1,
        "sd-upscale": 77 - 2,
        "flux-kontext": 512 - 1,
        "qwen-edit": 512 - 1,
        "plain": None,
    }


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("nothing, upper left", []),
        ("No defect stands out in the frame. Nothing disturbs the frame.", []),
        ("There are no visible blur artifacts! None.", []),
        ("Nothing but noise in the sky.", ["Nothing but noise in the sky."]),
        ("No defects except banding.", ["No defects except banding."]),
        ("no detail in the shadows", ["no detail in the shadows"]),
        ("Faint marks, e.g. the lettering of St. Mary.", ["Faint marks, e.g. the lettering of St. Mary."]),
    ],
)
def test_a_sentence_that_denies_a_defect_is_no_issue(said: str, left: list[str]) -> None:
    assert sentences([said]) == left


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("blur", 1), ("noise", 2), ("A sharp face.", 1 + 2 + 1 + 1), ("2.50", 4), ("été", 2 + 1)],
)
def test_tokens_are_estimated_by_letters_digits_and_signs(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens


texts = st.lists(st.text("ab .!?\n", max_size=40), max_size=6)


@given(texts, texts, st.integers(0, 30))
def test_every_prompt_is_within_its_budget_and_made_of_whole_sentences(
    directions: list[str], issues: list[str], budget: int
) -> None:
    made = guidance(directions, issues, target=plain(budget), count=words)
    for prompt, paragraphs in ((made.prompt, directions), (made.negative, issues)):
        assert prompt is not None
        assert prompt.tokens <= budget
        assert prompt.tokens == words(prompt.text)
        found = sentences(paragraphs)
        assert set(prompt.left_out) <= set(found)
        taken = [sentence for sentence in found if sentence not in prompt.left_out]
        assert [part for sentence in taken for part in sentence.split()] == [
            part if part in " ".join(taken).split() else part.removesuffix(",") for part in prompt.text.split()
        ]

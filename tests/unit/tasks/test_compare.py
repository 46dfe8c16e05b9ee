"""The comparison task: what it asks, and how exactly an answer is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoom_iqa.base.errors import FAILURE_REASONS, ConfigError, DataError
from zoom_iqa.base.targets import CHOICES, Preference
from zoom_iqa.base.types import (
    Example,
    Generation,
    ImagePart,
    ImageRef,
    ParseFailure,
    Sample,
    TextPart,
    rated_example,
)
from zoom_iqa.tasks.compare import ComparePrompts, CompareTask, read_comparison
from zoom_iqa.tasks.task import check_examples
from zoom_iqa.tasks.zoom import ZoomTask

PROMPTS = ComparePrompts(
    questions=("Which?", "Which one?"),
    prompt="{question} Say it.",
    reference_label="R: ",
    first_label="A: ",
    second_label="B: ",
    terse=True,
)
TASK = CompareTask(prompts=PROMPTS, reference=False)
RED, BLUE, GREEN = (Image.new("RGB", (40, 30), color) for color in ("red", "blue", "green"))


def example(images: int = 2) -> Example:
    refs = tuple(ImageRef(view=str(number)) for number in range(images))
    return Example(id="p", dataset="d", images=refs, target=Preference(choice="Image A"))


@pytest.mark.parametrize("choice", CHOICES)
def test_each_of_the_three_answers(choice: str) -> None:
    text = f"<think>B is soft.</think><answer>{choice}</answer>"
    found = read_comparison(text)
    assert (found.choice, found.judgement, found.failure, found.well_formed) == (choice, choice, None, True)
    ((start, end),) = found.spans["choice"]
    assert text[start:end] == choice


@pytest.mark.parametrize(
    ("text", "choice", "well_formed"),
    [
        ("<think>x</think>\n<answer> Image A\n</answer>\n", "Image A", True),  # blanks count for nothing
        ("<answer>Image B</answer>", "Image B", False),  # no thought
        ("<think> </think><answer>Image B</answer>", "Image B", False),  # an empty one
        ("<think>x</think><answer>Similar</answer> So.", "Similar", False),
        ("Well. <think>x</think><answer>Similar</answer>", "Similar", False),
        ("<think>x</think>So <answer>Similar</answer>", "Similar", False),
        ("<answer>Image B</answer><think>x</think>", "Image B", False),
        ("<think>x</think><answer>Image A</answer><answer>Image B</answer>", "Image A", False),  # the first counts
        ("<think>or <answer>Image A</answer>?</think><answer>Image B</answer>", "Image B", False),  # a thought is talk
    ],
)
def test_a_choice_is_read_from_less_than_the_form(text: str, choice: str, well_formed: bool) -> None:
    found = read_comparison(text)
    assert (found.choice, found.well_formed) == (choice, well_formed)


@pytest.mark.parametrize(
    "words", ["image a", "Image A.", "A", "Image C", "Image A or Image B", "", '{"choice": "Image A"}', "Image  A"]
)
def test_anything_else_is_a_bad_choice(words: str) -> None:
    found = read_comparison(f"<think>x</think><answer>{words}</answer>")
    assert isinstance(found.judgement, ParseFailure)
    assert found.judgement.reason == "bad_choice"
    assert (found.choice, found.well_formed) == (None, False)


@pytest.mark.parametrize("text", ["", "Image A", "<answer>Image A", "</answer>Image A<answer>"])
def test_no_answer_at_all(text: str) -> None:
    found = read_comparison(text)
    assert found.failure is not None
    assert found.failure.reason == "missing_answer"


PIECES = ["<think>", "</think>", "<answer>", "</answer>", *CHOICES, " ", "\n", "{", '"', "x", "\ud800", "é"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=60))
def test_any_text_has_one_outcome(text: str) -> None:
    found = read_comparison(text)
    assert (found.choice is None) == (found.failure is not None)
    assert found.failure is None or found.failure.reason in FAILURE_REASONS
    assert not (found.well_formed and found.choice is None)


def test_the_question_shows_both_images_under_their_names() -> None:
    session = TASK.open(Sample.of(example(), RED, BLUE), index=0, seed=3)
    request = session.next_request()
    assert request is not None
    (message,) = request.prompt
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    assert texts[0] in ("Which? Say it.", "Which one? Say it.")
    assert texts[1:] == ["A: ", "B: "]
    assert [part.key for part in message.parts if isinstance(part, ImagePart)] == [
        ImagePart.of(RED).key,
        ImagePart.of(BLUE).key,
    ]
    session.submit(Generation(request.key, "<think>x</think><answer>Image B</answer>", (), (), (), "stop"))
    assert session.next_request() is None
    assert session.rollout().judgement == "Image B"


def test_a_reference_comes_first() -> None:
    task = CompareTask(prompts=PROMPTS, reference=True)
    request = task.rehearse(Sample.of(example(3), GREEN, RED, BLUE), np.random.default_rng(0)).next_request()
    assert request is not None
    parts = request.prompt[0].parts
    assert [part.text for part in parts if isinstance(part, TextPart)][1:] == ["R: ", "A: ", "B: "]
    assert parts[2] is not None
    assert isinstance(parts[2], ImagePart)
    assert parts[2].key == ImagePart.of(GREEN).key


@pytest.mark.parametrize(
    ("images", "reference", "said"), [(1, False, "d:p: 1 image$"), (3, False, "d:p: 3 images$"), (2, True, "2 images$")]
)
def test_another_number_of_images_is_refused(images: int, reference: bool, said: str) -> None:
    task = CompareTask(prompts=PROMPTS, reference=reference)
    with pytest.raises(DataError, match=said):
        check_examples(task, [example(2 + reference), example(images)])
    with pytest.raises(DataError, match="another number; use pairs, such as benchmark=embedded_pairs or srbench"):
        task.open(Sample.of(example(images), *[RED, BLUE, GREEN][:images]), index=0, seed=0)


def test_other_tasks_refuse_pairs() -> None:
    zoom = ZoomTask.__new__(ZoomTask)
    check_examples(zoom, [rated_example(id="a", dataset="d", mos=3.0)])
    with pytest.raises(DataError, match="the task asks about one image, and 1 of 2 examples have several"):
        check_examples(zoom, [rated_example(id="a", dataset="d", mos=3.0), example()])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": "Say it."}, r"no \{question\}"),
        ({"questions": ["a", "a"]}, "repeats"),
        ({"first_label": ""}, "empty"),
    ],
)
def test_prompts_that_say_too_little(change: dict[str, object], said: str) -> None:
    fields = {name: getattr(PROMPTS, name) for name in PROMPTS.__dataclass_fields__}
    with pytest.raises(ConfigError, match=said):
        ComparePrompts(**{**fields, **change})

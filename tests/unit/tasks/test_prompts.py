"""Prompt sets: what is refused, what the messages hold, and the strings of an installed official package."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ImagePart, TextPart
from zoom_iqa.tasks.prompts import PromptSet, build_turn1, build_turn2, official_prompts

CONF = Path(__file__).parents[3] / "conf" / "prompts"
LABELS = {"original_label": "Original image: ", "crop_label": "Cropped Image: "}
PROMPTS = PromptSet(
    questions=["How good?", "How bad?"],
    turn1='{question} Reply {"rating": 1.00}.',
    turn2="Look again. {question} {{x}}",
    sections_turn1=["A", "B", "C", "D"],
    sections_turn2=["E", "B", "C", "F"],
    terse=True,
    **LABELS,
)
IMAGE, CROP = ImagePart(Image.new("RGB", (4, 4)), "i"), ImagePart(Image.new("RGB", (2, 2)), "i@0")


def test_turn_one_is_prompt_then_image() -> None:
    (message,) = build_turn1(PROMPTS, question="How {odd}?", image=IMAGE)
    assert message.role == "user"
    assert message.parts == (TextPart('How {odd}? Reply {"rating": 1.00}.'), IMAGE)


def test_turn_two_is_rebuilt_and_its_prompt_sent_as_written() -> None:
    messages = build_turn2(PROMPTS, question="How good?", turn1_output="<think>x</think>", image=IMAGE, crop=CROP)
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert messages[0].parts == (TextPart("How good?"),)
    assert messages[1].parts == (TextPart("<think>x</think>"),)
    assert messages[2].parts == (
        TextPart("Look again. {question} {{x}}"),
        TextPart("Original image: "),
        IMAGE,
        TextPart("Cropped Image: "),
        CROP,
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("questions", [], "questions"),
        ("questions", "How good?", "give a list"),
        ("questions", ["a", "a"], "repeats"),
        ("questions", ["a", " "], "not empty"),
        ("sections_turn1", ["A", "B", "C"], "give 4 names"),
        ("sections_turn2", ["A", "B", "C", "C"], "repeats"),
        ("turn1", "no slot", "no {question}"),
        ("turn1", "", "turn1"),
        ("turn2", "\n", "turn2"),
        ("crop_label", "", "crop_label"),
    ],
)
def test_bad_prompt_sets_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PROMPTS, **{field: value})


@pytest.mark.parametrize("name", ["full", "compact"])
def test_shipped_sets_are_whole(name: str) -> None:
    prompts = instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    assert len(prompts.questions) == 5
    assert prompts.original_label == "Original image: "
    assert prompts.crop_label == "Cropped Image: "
    assert "{question}" not in prompts.turn2
    assert prompts.terse is (name == "compact")
    if name == "compact":
        assert len(prompts.turn1.split()) <= 15
        return
    for turn, text in ((1, prompts.turn1), (2, prompts.turn2)):
        places = [text.index(f"\n{section}: ") for section in prompts.sections(turn)]
        assert places == sorted(places)
        assert all(word in text for word in ("bbox_2d", '"rating"', '"tool"', "<think>", "<answer>"))


NUMBER = re.compile(r"\d+(?:\.\d+)?")
EXAMPLES = ("A downgrade: ", "An upgrade: ", "A confirmation: ")


@pytest.fixture(scope="module")
def full() -> PromptSet:
    prompts: PromptSet = instantiate(yaml.safe_load((CONF / "full.yaml").read_text()))
    return prompts


def worked_examples(text: str) -> tuple[str, str, str]:
    """The last paragraphs of the three examples, each on a line of its own."""
    downgrade, upgrade, confirmation = ((text.split(f"\n{name}")[1]).split("\n")[0] for name in EXAMPLES)
    return downgrade, upgrade, confirmation


def test_the_full_prompts_anchor_no_answer(full: PromptSet) -> None:
    """No number but the ends of the scale and of fractions, and of each tool no more than of the other."""
    outside = full.turn2
    for example in worked_examples(full.turn2):
        outside = outside.replace(example, "")
    assert set(NUMBER.findall(re.sub(r"bbox_2d|[xy][12]", "", full.turn1))) == {"1.00", "5.00", "0", "1"}
    assert set(NUMBER.findall(outside.replace("bbox_2d", ""))) == {"1.00", "5.00", "0"}
    assert full.turn1.count('"crop"') == full.turn1.count('"final"') - 1  # the zeros that go with it
    assert '"tool": "crop"' not in full.turn1
    assert '"tool": "final"' not in full.turn1


def test_the_full_prompts_ask_for_paragraphs_of_one_persona(full: PromptSet) -> None:
    for text in (full.turn1, full.turn2):
        assert text.startswith("You are a picture editor who judges the technical quality of photographs")
        assert not re.search(r"^\s*(?:[-*\u2022]|\d+[.)])\s", text, re.MULTILINE)
        assert "without lists" in text
        assert text.count("Every word here is positive") == text.count("Every word here is negative") == 1


def test_the_three_worked_examples_move_the_score_as_they_say(full: PromptSet) -> None:
    downgrade, upgrade, confirmation = (
        [float(number) for number in NUMBER.findall(example)] for example in worked_examples(full.turn2)
    )
    assert downgrade[-1] < downgrade[0] - 0.5
    assert upgrade[-1] > upgrade[0] + 0.5
    assert confirmation[-1] == confirmation[0]
    assert len({*downgrade, *upgrade, *confirmation}) == 5


def test_official_without_the_package_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"zoomiqa is not installed.*prompts=full"):
        official_prompts(sections_turn1=list("ABCD"), sections_turn2=list("EFGH"), **LABELS)


@pytest.mark.parametrize("module_name", ["zoomiqa.protocol", "zoomiqa.inference.protocol"])
def test_official_strings_are_kept(monkeypatch: pytest.MonkeyPatch, module_name: str) -> None:
    parts = module_name.split(".")
    for depth in range(1, len(parts)):
        package = ModuleType(".".join(parts[:depth]))
        package.__path__ = []  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, package.__name__, package)
    module = ModuleType(module_name)
    monkeypatch.setitem(sys.modules, module_name, module)
    with pytest.raises(ConfigError, match="has no RANDOM_QUESTIONS, STAGE1_PROMPT, STAGE2_PROMPT"):
        official_prompts(sections_turn1=list("ABCD"), sections_turn2=list("EFGH"), **LABELS)
    module.RANDOM_QUESTIONS = ("one?", "two?")  # type: ignore[attr-defined]
    module.STAGE1_PROMPT = 'Answer {{"rating": 1}}. {question}'  # type: ignore[attr-defined]
    module.STAGE2_PROMPT = 'Again {{"rating": 1}}. {question}'  # type: ignore[attr-defined]
    prompts = official_prompts(sections_turn1=list("ABCD"), sections_turn2=list("EFGH"), **LABELS)
    (message,) = build_turn1(prompts, question="one?", image=IMAGE)
    assert message.parts[0] == TextPart('Answer {"rating": 1}. one?')
    assert prompts.turn2 == 'Again {{"rating": 1}}. {question}'
    assert prompts.questions == ("one?", "two?")


def test_official_with_a_missing_dependency_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "zoomiqa"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "protocol.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(ConfigError, match="needs a_package_nobody_has; install it"):
            official_prompts(sections_turn1=list("ABCD"), sections_turn2=list("EFGH"), **LABELS)
    finally:
        sys.modules.pop("zoomiqa", None)

"""Accuracy, self-consistency and human text by hand; an image about which nobody wrote has no such term."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from support.made_rollouts import record
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import rated_example
from zoom_iqa.objectives.measures import to_floats
from zoom_iqa.objectives.rewards.formulas import raised_cosine_reward
from zoom_iqa.objectives.rewards.human import AccuracyTerm, HumanTextTerm, SelfConsistencyTerm
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.rollout.measures import reward_measures

ACCURACY = AccuracyTerm(weight=1.0, width=0.35)
CONSISTENCY = SelfConsistencyTerm(weight=1.0, width=0.35, probe="description")
NOBODY = rated_example(id="b", dataset="d", mos=3.0)
SOMEBODY = replace(NOBODY, id="a", references=("the cat is dark", "dark"), summary="a dark cat")


def human(**changes: Any) -> HumanTextTerm:
    return HumanTextTerm(**{"weight": 1.0, "measure": "precision", "floor": 0.1, "text": "completion", **changes})


def inputs(*groups: list[Record]) -> RewardInputs:
    return RewardInputs(tuple(map(tuple, groups)), LocalReducer())


def about(example: Any, text: str) -> Record:
    return replace(record("a", text=text), example=example)


def test_the_raised_cosine_ends_at_its_width() -> None:
    errors = [0.0, 0.175, 0.35 / 3, 0.35, 0.36, -0.175, math.nan]
    found = raised_cosine_reward(torch.tensor([[3.0 + e for e in errors]], dtype=torch.float64), torch.tensor([3.0]))
    expected = [1.0, 0.5, 0.75, 0.0, 0.0, 0.5, 0.0]  # cos of 0, pi/2, pi/3 and pi
    assert found[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_accuracy_is_of_the_rating_that_counts() -> None:
    found = ACCURACY.reward(inputs([record("a", rating=3.175), record("a", rating=None)]))
    assert found[0].tolist() == pytest.approx([0.5, 0.0])


def test_self_consistency_holds_the_answer_from_the_words_against_the_same_mos() -> None:
    asked = replace(record("a", rating=1.0), probes={"description": (record("a", rating=3.0),)})
    unread = replace(record("a", rating=3.0), probes={"description": (record("a", rating=None),)})
    not_asked = replace(record("a", rating=3.0), probes={"description": ()})  # it wrote no caption
    other = replace(record("a", rating=3.0), probes={"other": (record("a", rating=3.0),)})
    assert CONSISTENCY.reward(inputs([asked, unread, not_asked, other])).tolist() == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2 / 7),  # tags are words: caption, dark, sky, caption, think, cat, think
        ({"measure": "recall"}, 2 / 3),
        ({"text": "caption"}, 1 / 2),
        ({"text": "caption_think"}, 2 / 3),
        ({"floor": 0.9}, 0.9),
    ],
)
def test_likeness_to_the_summary(changes: dict[str, Any], expected: float) -> None:
    text = "<caption>dark sky</caption><think>cat</think>"
    assert human(**changes).reward(inputs([about(SOMEBODY, text)])).item() == pytest.approx(expected)


def test_likeness_is_of_the_last_turns_words() -> None:
    turns = record("a", box=(0, 0, 4, 4)).steps
    said = tuple(replace(turn, text=text) for turn, text in zip(turns, ("blur", "dark"), strict=True))
    answer = replace(about(SOMEBODY, "dark"), steps=said)
    assert human().reward(inputs([answer])).item() == 1.0


def test_precision_pays_for_shortness_and_recall_for_length() -> None:
    short, long = "dark", "a dark cat on a very long and much too well lit wall"
    pair = inputs([about(SOMEBODY, short), about(SOMEBODY, long)])
    (by_precision,), (by_recall,) = human().reward(pair), human(measure="recall").reward(pair)
    assert by_precision[0] > by_precision[1]
    assert by_recall[0] < by_recall[1]


def test_without_a_caption_there_is_the_floor() -> None:
    assert human(text="caption").reward(inputs([about(SOMEBODY, "<think>a dark cat</think>")])).item() == 0.1


def test_without_a_summary_all_references_are_compared_with() -> None:
    example = replace(SOMEBODY, summary=None)
    assert human(measure="recall").reward(inputs([about(example, "the dark")])).item() == pytest.approx(2 / 5)


def test_images_nobody_wrote_about_have_no_term_and_are_in_no_mean() -> None:
    of_both = inputs(
        [about(SOMEBODY, "dark cat"), about(SOMEBODY, "dark sky")], [about(NOBODY, "dark"), about(NOBODY, "sky")]
    )
    rewards = Rubric(terms={"human": human()}).rewards(of_both, step=0)
    assert rewards.terms["human"].tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert rewards.total_BG.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert rewards.present["human"].tolist() == [[True, True], [False, False]]
    found = to_floats(reward_measures(rewards, torch.zeros(2, 2)))
    assert found["reward/human"] == pytest.approx(0.75)
    assert found["reward/human_present"] == pytest.approx(0.5)


def test_a_step_without_any_such_image_logs_no_mean() -> None:
    rewards = Rubric(terms={"human": human()}).rewards(inputs([about(NOBODY, "dark")]), step=0)
    found = to_floats(reward_measures(rewards, torch.zeros(1, 1)))
    assert "reward/human" not in found
    assert found["reward/human_present"] == 0.0


def test_mistakes_are_named_with_their_remedy() -> None:
    rubric = Rubric(terms={"self_consistency": CONSISTENCY, "human": human()})
    with pytest.raises(ConfigError, match=r"reads the probe 'description' and there is none; add probes=description"):
        rubric.check_probes({})
    rubric.check_probes({"description": object()})
    with pytest.raises(ConfigError, match=r"of 1 images of d none has a text; set data\.references"):
        rubric.check_some([NOBODY])
    rubric.check_some([NOBODY, SOMEBODY])
    for changes, said in (({"measure": "f2"}, "f1"), ({"text": "answer"}, "caption_think"), ({"floor": 2.0}, "0 to 1")):
        with pytest.raises(ConfigError, match=said):
            human(**changes)
    with pytest.raises(ConfigError, match=r"accuracy\.width=0"):
        AccuracyTerm(weight=1.0, width=0)

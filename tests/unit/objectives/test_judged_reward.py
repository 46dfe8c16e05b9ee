"""A judge's grades as a reward, by hand; a response without grades is set neither above nor below its group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.made_rollouts import record
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Finish
from zoom_iqa.objectives.advantages import GroupAdvantages
from zoom_iqa.objectives.measures import to_floats
from zoom_iqa.objectives.rewards.judged import JudgedTerm
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.rollout.measures import reward_measures
from zoom_iqa.tasks.grades import CRITERIA

EVEN = dict.fromkeys(CRITERIA, 1.0)


def graded(*grades: int, finish: Finish = "stop") -> Record:
    """A response about which a judge said this."""
    text = "".join(f"<{name}>{grade}</{name}>" for name, grade in zip(CRITERIA, grades, strict=False))
    answer = record("a", text=text)
    answer = replace(answer, steps=(replace(answer.steps[0], finish=finish),))
    return replace(record("a"), probes={"judge": (answer,)})


SILENT = replace(record("a"), probes={"judge": ()})
NOT_ASKED = record("a")
LOST = [graded(9, 9, 9), graded(9, 9, 9, 10), *(graded(9, 9, 9, 9, finish=f) for f in ("failed", "refused", "length"))]


def inputs(*groups: list[Record]) -> RewardInputs:
    return RewardInputs(tuple(map(tuple, groups)), LocalReducer())


def term(**changed: Any) -> JudgedTerm:
    return JudgedTerm(**{"weight": 1.0, "criteria": EVEN, **changed})


def test_grades_are_brought_from_one_to_nine_to_zero_to_one() -> None:
    found = term().reward(inputs([graded(1, 1, 1, 1), graded(9, 9, 9, 9), graded(5, 3, 9, 1), SILENT]))
    assert found.tolist() == [[0.0, 1.0, (4 + 2 + 8 + 0) / 32, 0.0]]
    accuracy = term(criteria={**EVEN, "accuracy": 5.0}).reward(inputs([graded(9, 1, 1, 1)]))  # 5 of 8 shares
    assert accuracy.item() == pytest.approx(5 / 8)


def test_only_a_response_that_was_graded_or_says_nothing_has_the_term() -> None:
    found = term().present(inputs([graded(1, 1, 1, 1), SILENT, NOT_ASKED, *LOST]))
    assert found.tolist() == [[True, True, False, *[False] * len(LOST)]]


def test_one_without_grades_gets_the_mean_of_its_group_and_is_in_no_figure() -> None:
    rubric = Rubric(terms={"judge": term(weight=2.0), "format": FormatTerm(weight=1.0)})
    group, ungraded = [graded(9, 9, 9, 9), graded(1, 1, 1, 1), graded(5, 5, 5, 5), LOST[0]], [LOST[2], LOST[3]] * 2
    rewards = rubric.rewards(inputs(group, ungraded), step=0)
    assert rewards.terms["judge"].tolist() == [[1.0, 0.0, 0.5, 0.5], [0.0] * 4]
    assert rewards.total_BG.tolist() == [[3.0, 1.0, 2.0, 2.0], [1.0] * 4]
    figures = to_floats(reward_measures(rewards, torch.zeros(2, 4)))
    assert figures["reward/judge"] == pytest.approx(0.5)
    assert figures["reward/judge_present"] == pytest.approx(3 / 8)


@given(st.lists(st.one_of(st.none(), st.integers(1, 9)), min_size=2, max_size=8))
def test_what_was_not_graded_has_no_advantage_by_it(grades: list[int | None]) -> None:
    """And the grades of the others differ as they did."""
    made = [LOST[0] if grade is None else graded(*[grade] * 4) for grade in grades]
    total_BG = Rubric(terms={"judge": term()}).rewards(inputs(made), step=0).total_BG
    advantages = GroupAdvantages(normalize_std=False, eps=1e-6)(total_BG)[0].tolist()
    known = [(grade - 1) / 8 for grade in grades if grade is not None]
    mean = sum(known) / len(known) if known else 0.0
    expected = [0.0 if grade is None else (grade - 1) / 8 - mean for grade in grades]
    assert advantages == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"criteria": {"accuracy": 1.0}}, r"reward\.judge\.criteria: accuracy must be accuracy, reasonableness"),
        ({"criteria": {**EVEN, "accuracy": -1.0}}, r"reward\.judge\.criteria\.accuracy=-1\.0 must be 0 or more"),
        ({"criteria": dict.fromkeys(CRITERIA, 0.0)}, "are all 0: give one a weight"),
    ],
)
def test_mistakes_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        term(**changed)


def test_a_rubric_says_who_could_be_asked() -> None:
    rubric = Rubric(terms={"judge": term()})
    assert (rubric.reads("judge"), rubric.reads("description")) == (True, False)
    with pytest.raises(ConfigError, match=r"add judge=api judge\.speaker\.model=NAME or judge=policy, or drop"):
        rubric.check_probes({"description": object()})

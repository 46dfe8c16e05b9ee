"""The reward of a comparison by hand, and labels that it, or a reward of ratings, cannot be made of."""

from __future__ import annotations

import pytest

from support.made_rollouts import choice_record, group, record
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import rated_example
from zoom_iqa.metrics.choices import matches
from zoom_iqa.objectives.rewards.comparison import MatchTerm
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm, RankTerm, ScoreTerm
from zoom_iqa.parallel.reducer import LocalReducer

RATED = rated_example(id="r", dataset="d", mos=3.0)


def test_match_and_form() -> None:
    groups = (
        (choice_record("Image A", "Image A"), choice_record("Image A", "Image B"), choice_record("Image A", None)),
        (choice_record("Similar", "Image A"), choice_record("Similar", "Similar"), choice_record("Similar", "Similar")),
    )
    rubric = Rubric(terms={"format": FormatTerm(weight=1.0), "match": MatchTerm(weight=2.0)})
    rewards = rubric.rewards(RewardInputs(groups, LocalReducer()), step=0)
    assert rewards.terms["match"].tolist() == [[1, 0, 0], [0, 1, 1]]
    assert rewards.total_BG.tolist() == [[3, 1, 0], [1, 3, 3]]  # an unreadable answer is not well formed either


def test_a_rating_matches_nothing() -> None:
    assert not matches(record("a"))


def test_labels_that_are_no_preferences() -> None:
    pair = choice_record("Image A", None).example
    MatchTerm(weight=1.0).check_labels([pair])
    with pytest.raises(ConfigError, match=r"reward\.match needs preferences .*, and 1 of 2 labels are none"):
        MatchTerm(weight=1.0).check_labels([pair, RATED])


@pytest.mark.parametrize("name", ["score", "rank"])
def test_rewards_of_ratings_refuse_preferences(name: str) -> None:
    terms = {"score": ScoreTerm(weight=1.0, sigma=0.35), "rank": RankTerm(weight=1.0, eps=1e-6, preference="ordinal")}
    examples = [RATED, RATED, choice_record("Image A", None).example]
    with pytest.raises(ConfigError, match=rf"reward\.{name} needs opinion scores, and 1 of 3 .*use reward=compare"):
        Rubric(terms={name: terms[name]}).check_labels(examples)
    Rubric(terms={name: terms[name]}).check_labels([one.example for one in (group("a", 1.0, []), group("b", 2.0, []))])

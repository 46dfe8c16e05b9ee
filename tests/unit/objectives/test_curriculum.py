"""The ladder of the curriculum: values of its rungs, which of them count when, and a state that comes back exactly."""

from __future__ import annotations

import math
import pkgutil
from itertools import pairwise
from typing import Any

import pytest
import torch

from support.made_curriculum import GATE, ladder
from support.made_evidence import ALL_OVER, LOCAL, PRISTINE, REGION, WHOLE, inputs_of, judged
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Example, ImageRef, Preference, rated_example
from zoom_iqa.metrics.evidence import locating, naming
from zoom_iqa.objectives.rewards.curriculum import Rung, Tolerance
from zoom_iqa.objectives.rewards.formulas import rank_reward, score_reward
from zoom_iqa.objectives.rewards.human import AccuracyTerm, SelfConsistencyTerm
from zoom_iqa.objectives.rewards.looks import LookBonus
from zoom_iqa.objectives.rewards.rubric import Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm

RIGHT = [(REGION, "motion blur")]


def batch(*, named: bool, located: bool, rated: bool, truth: bool = True) -> list[list[Record]]:
    """Two images of two answers each, ranked rightly: rungs are 1 where they are reached, and 0 where not."""
    boxes = REGION if located else (0.9, 0.9, 1.0, 1.0)
    noun = "motion blur" if named else "noise"
    made = []
    for number, mos in enumerate((2.0, 4.0)):
        rating = mos if rated else mos + 40.0  # no reward at any tolerance
        evidence = [(boxes, noun)]
        group = [
            judged(
                LOCAL if truth else None, rating=rating, evidence=evidence, mos=mos, name=f"i{number}", sample=sample
            )
            for sample in range(2)
        ]
        made.append(group)
    return made


@pytest.mark.parametrize(
    ("record", "name", "place"),
    [
        (judged(LOCAL, evidence=RIGHT), 1.0, 1.0),
        (judged(LOCAL, evidence=[(WHOLE, "blur")]), 0.5, 0.2),
        (judged(LOCAL, evidence=[(REGION, "motion blur"), (WHOLE, "noise")]), 0.5, 0.2),
        (judged(LOCAL, evidence=[]), 0.0, 0.0),
        (judged(LOCAL, evidence=None), 0.0, 0.0),
        (judged(LOCAL, evidence=[((0, 0, 400, 300), "motion blur")]), 1.0, 0.0),  # pixels, though it holds REGION
        (judged(ALL_OVER, evidence=[((-0.02, 0.0, 1.01, 1.0), "blocking")]), 1.0, 1.0),  # a little beyond the border
        (judged(ALL_OVER, evidence=[(WHOLE, "blocking")]), 1.0, 1.0),
        (judged(ALL_OVER, evidence=[(REGION, "blocking")]), 1.0, 0.2),
        (judged(PRISTINE, evidence=[]), 1.0, 1.0),
        (judged(PRISTINE, evidence=RIGHT), 0.0, 0.0),
        (judged(None, evidence=RIGHT), None, None),
    ],
)
def test_evidence_is_judged_by_name_and_place(record: Record, name: float | None, place: float | None) -> None:
    assert naming(record) == name
    assert locating(record) == (None if place is None else pytest.approx(place))


def test_the_first_rung_counts_in_full_and_those_above_wait() -> None:
    inputs = inputs_of(*batch(named=True, located=True, rated=True))
    rank_BG = rank_reward(inputs.ratings_BG, inputs.mos_B)
    expected = 1.0 + 0.25 * (2.0 + 3.0 + 4.0 * rank_BG)
    torch.testing.assert_close(ladder().reward(inputs), expected)


def test_rewarding_changes_nothing() -> None:
    curriculum, inputs = ladder(), inputs_of(*batch(named=True, located=True, rated=True))
    first = curriculum.reward(inputs)
    assert torch.equal(first, curriculum.reward(inputs))
    assert curriculum.progress.competence == {}


def test_rungs_are_passed_one_after_the_other_and_keep_a_share() -> None:
    curriculum = ladder()
    weights = []
    for reached in range(4):
        inputs = inputs_of(*batch(named=reached >= 1, located=reached >= 2, rated=reached >= 3))
        curriculum.advance(inputs)
        weights.append(curriculum.weights(("name", "locate", "rate", "rank")))
    assert [list(found.values()) for found in weights] == [
        [1.0, 0.5, 0.75, 1.0],  # waiting: a quarter of 2, 3 and 4
        [0.5, 2.0, 0.75, 1.0],
        [0.5, 1.0, 3.0, 1.0],
        [0.5, 1.0, 1.5, 4.0],
    ]


def test_a_rung_far_up_waits_though_it_is_mastered() -> None:
    curriculum = ladder()
    curriculum.advance(inputs_of(*batch(named=False, located=True, rated=True)))
    assert curriculum.progress.passed == {"name": False, "locate": True, "rate": True}
    assert list(curriculum.weights(("name", "locate", "rate", "rank")).values()) == [1.0, 0.5, 0.75, 1.0]


def test_a_gate_stays_as_it_is_between_its_thresholds() -> None:
    def mean(share: float) -> dict[str, float]:
        return {"name": share}

    curriculum, seen = ladder(), []
    for share in (0.5, 0.6, 0.5, 0.4, 0.39, 0.5, 0.6):
        curriculum.learn(mean(share))
        seen.append(curriculum.progress.passed["name"])
    assert seen == [False, True, True, True, False, False, True]


def test_competence_is_a_running_mean() -> None:
    curriculum = ladder(memory=0.75)
    for share in (0.4, 0.8):
        curriculum.learn({"name": share})
    assert curriculum.progress.competence == {"name": pytest.approx(0.75 * 0.4 + 0.25 * 0.8)}


def test_the_tolerance_narrows_while_ratings_are_good_and_widens_where_they_are_not() -> None:
    curriculum, seen = ladder(), []
    for share in (0.7, 0.7, 0.7, 0.5, 0.3, 0.5, 0.3, 0.3):
        curriculum.learn({"rate": share})
        seen.append(curriculum.progress.tolerance)
    assert seen == [0.5, 0.35, 0.35, 0.35, 0.7, 0.7, 1.0, 1.0]
    # the fourth has fallen between the thresholds: passed, so it would narrow further if it could; the sixth has risen
    # between them: not passed, and neither narrower nor wider


def test_the_tolerance_is_that_of_the_rating_reward() -> None:
    curriculum = ladder(passed_share=0.0, waiting_share=0.0)
    curriculum.load_state_dict(
        {"competence": {}, "passed": {"name": True, "locate": True, "rate": False}, "tolerance": 0.5}
    )
    inputs = inputs_of(
        [judged(LOCAL, rating=2.5, mos=2.0), judged(LOCAL, rating=2.0, mos=2.0)],
        [judged(LOCAL, rating=4.0, mos=4.0, name="b"), judged(LOCAL, rating=None, mos=4.0, name="b")],
    )
    expected = 3.0 * score_reward(inputs.ratings_BG, inputs.mos_B, sigma=0.5)
    torch.testing.assert_close(curriculum.reward(inputs), expected)
    assert expected[0, 0] == pytest.approx(3.0 * math.exp(-0.5))


def test_sets_without_truth_use_the_upper_rungs() -> None:
    curriculum, inputs = ladder(), inputs_of(*batch(named=True, located=True, rated=True, truth=False))
    rank_BG = rank_reward(inputs.ratings_BG, inputs.mos_B)
    torch.testing.assert_close(curriculum.reward(inputs), 3.0 + 0.25 * 4.0 * rank_BG)
    figures = curriculum.advance(inputs)
    assert "name" not in figures
    assert set(curriculum.progress.competence) == {"rate", "rank"}
    assert curriculum.progress.passed == {"name": False, "locate": False, "rate": True}
    rank_BG = rank_reward(inputs.ratings_BG, inputs.mos_B)
    torch.testing.assert_close(curriculum.reward(inputs), 0.5 * 3.0 + 4.0 * rank_BG)


def test_images_with_and_without_truth_may_share_a_batch() -> None:
    known = batch(named=True, located=False, rated=True)[0]
    unknown = batch(named=False, located=False, rated=True, truth=False)[1]
    inputs = inputs_of(known, unknown)
    rank_BG = rank_reward(inputs.ratings_BG, inputs.mos_B)
    got = ladder().reward(inputs)
    torch.testing.assert_close(got[0], 1.0 + 0.25 * (3.0 + 4.0 * rank_BG[0]))
    torch.testing.assert_close(got[1], 3.0 + 0.25 * 4.0 * rank_BG[1])


def test_what_is_logged_is_what_the_batch_was_rewarded_with() -> None:
    curriculum = ladder()
    figures = curriculum.advance(inputs_of(*batch(named=True, located=False, rated=True)))
    assert (figures["name"], figures["locate"], figures["rate"]) == (1.0, 0.0, 1.0)
    assert [figures[f"{rung}_weight"] for rung in ("name", "locate", "rate", "rank")] == [1.0, 0.5, 0.75, 1.0]
    assert figures["name_passed"] == 0.0
    assert figures["tolerance"] == 1.0
    figures = curriculum.advance(inputs_of(*batch(named=True, located=False, rated=True)))
    assert (figures["name_passed"], figures["tolerance"]) == (1.0, 0.5)


def test_the_state_comes_back_exactly() -> None:
    batches = [inputs_of(*batch(named=n % 3 > 0, located=n % 2 > 0, rated=n % 4 > 0)) for n in range(9)]
    whole, before, after = ladder(memory=0.7), ladder(memory=0.7), ladder(memory=0.7)
    for inputs in batches:
        whole.advance(inputs)
    for inputs in batches[:4]:
        before.advance(inputs)
    after.load_state_dict(before.state_dict())
    for inputs in batches[4:]:
        assert torch.equal(before.reward(inputs), after.reward(inputs))
        assert before.advance(inputs) == after.advance(inputs)
    assert after.state_dict() == whole.state_dict()


def test_any_number_of_processes_climbs_alike(on_ranks) -> None:
    groups = [*batch(named=True, located=False, rated=True), *batch(named=False, located=True, rated=False)]
    one = ladder(memory=0.5)
    whole = one.advance(inputs_of(*groups))
    cuts = (0, 1, 4)
    shares = [groups[a:b] for a, b in pairwise(cuts)]

    def work(rank, reducer):
        curriculum = ladder(memory=0.5)
        inputs = inputs_of(*shares[rank], reducer=reducer)
        return curriculum.reward(inputs), curriculum.advance(inputs), curriculum.state_dict()

    for _, figures, state in (found := on_ranks(2, work)):
        assert figures == pytest.approx(whole)
        assert state["passed"] == one.state_dict()["passed"]
    assert found[0][2] == found[1][2]


def test_the_rubric_keeps_the_states_of_its_terms() -> None:
    inputs = inputs_of(*batch(named=True, located=True, rated=True))
    rubric = Rubric(terms={"format": FormatTerm(weight=1.0), "curriculum": ladder()})
    assert "curriculum/name" in rubric.advance(inputs)
    other = Rubric(terms={"format": FormatTerm(weight=1.0), "curriculum": ladder()})
    other.load_state_dict(rubric.state_dict())
    assert other.state_dict() == rubric.state_dict() != {}
    with pytest.raises(ConfigError, match="keep the reward to resume"):
        Rubric(terms={"format": FormatTerm(weight=1.0)}).load_state_dict(rubric.state_dict())
    with pytest.raises(ConfigError, match="keep the reward to resume"):
        other.load_state_dict({})


class Counting(FormatTerm):
    """A term that learns from what it rewards itself, and so has no ``advance``."""

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.__dict__.get("seen", 0)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def test_a_term_that_is_shown_no_batches_keeps_its_state_too() -> None:
    rubric = Rubric(terms={"mine": Counting(weight=1.0)})
    rubric.load_state_dict({"mine": {"seen": 3}})
    assert rubric.state_dict() == {"mine": {"seen": 3}}
    assert rubric.advance(inputs_of(*batch(named=True, located=True, rated=True))) == {}


LOOK = (0.1, 0.1, 0.4, 0.4)


def test_looking_pays_on_a_right_answer_alone_and_not_for_ever() -> None:
    term = LookBonus(weight=1.0, tolerance=0.5, bound=0.8, most=2)
    looks = [[LOOK], [LOOK], [], [], [LOOK] * 3]
    ratings = [3.4, 3.6, 3.0, None, 3.0]
    group = [judged(None, rating=one, looks=look) for one, look in zip(ratings, looks, strict=True)]
    share = 3 / 5
    expected = [[1 - share / 0.8, 0.0, 0.0, 0.0, 0.0]]
    assert term.reward(inputs_of(group)).tolist() == [pytest.approx(expected[0])]
    everyone = [judged(None, rating=3.0, looks=[LOOK], sample=n) for n in range(5)]
    assert term.reward(inputs_of(everyone)).tolist() == [[0.0] * 5]


def test_a_look_is_rare_in_its_own_group() -> None:
    """All of the first look and half of the second: 1 - 1 and 1 - 1/2."""
    term = LookBonus(weight=1.0, tolerance=0.5, bound=1.0, most=1)
    looks = [[[LOOK], [LOOK]], [[LOOK], []]]
    groups = [[judged(None, looks=one, name=f"i{number}") for one in row] for number, row in enumerate(looks)]
    assert term.reward(inputs_of(*groups)).tolist() == [[0.0, 0.0], [0.5, 0.0]]


def test_the_most_looks_and_the_tolerance_itself_still_pay() -> None:
    term = LookBonus(weight=1.0, tolerance=0.5, bound=1.0, most=2)
    group = [judged(None, rating=3.5, mos=3.0, looks=[LOOK] * 2), judged(None, rating=3.0, mos=3.0)]
    assert term.reward(inputs_of(group)).tolist() == [[0.5, 0.0]]


def test_configs_of_older_run_folders_find_the_bonus_where_it_was() -> None:
    assert pkgutil.resolve_name("zoom_iqa.objectives.rewards.curriculum.LookBonus") is LookBonus


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Rung(weight=1.0, pass_at=0.5, open_below=0.6), "open_below=0.6"),
        (lambda: Rung(weight=-1.0, pass_at=0.5, open_below=0.4), "weight=-1.0"),
        (lambda: Rung(weight=1.0, pass_at=1.5, open_below=0.4), "pass_at=1.5"),
        (lambda: Tolerance(widest=0.3, narrowest=0.35, factor=0.9), r"^reward.curriculum.tolerance.narrowest=0.35"),
        (lambda: Tolerance(widest=1.0, narrowest=0.35, factor=1.0), "factor=1.0"),
        (lambda: ladder(rungs={"name": Rung(weight=1.0, **GATE)}), "must be name, locate, rate"),
        (lambda: ladder(memory=1.0), "memory=1.0"),
        (lambda: ladder(passed_share=2.0), "passed_share=2.0"),
        (lambda: ladder(rank_eps=0.0), r"reward\.curriculum\.rank_eps=0.0 must be a number above 0"),
        (lambda: LookBonus(weight=1.0, tolerance=0.5, bound=0.0, most=2), "bound=0.0"),
        (lambda: LookBonus(weight=1.0, tolerance=0.5, bound=0.5, most=0), "most=0"),
    ],
)
def test_bad_settings_are_refused(make, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()


PAIR = Example(id="p", dataset="pairs", images=(ImageRef(), ImageRef()), target=Preference(choice="Image A"))


@pytest.mark.parametrize(
    ("term", "name"),
    [
        (ladder(), "curriculum"),
        (LookBonus(weight=1.0, tolerance=0.5, bound=0.8, most=3), "look"),
        (AccuracyTerm(weight=1.0, width=0.35), "accuracy"),
        (SelfConsistencyTerm(weight=1.0, width=0.35, probe="description"), "self_consistency"),
    ],
)
def test_preferences_are_refused_where_scores_are_read(term, name: str) -> None:
    term.check_labels([rated_example(id="a", dataset="d", mos=3.0)])
    with pytest.raises(ConfigError, match=rf"reward\.{name} needs opinion scores.*pairs:p.*use reward=compare"):
        term.check_labels([PAIR])

import math

import pytest
import torch

from support.made_rollouts import group, rollout, step
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ParseFailure, RolloutGroup, rated_example
from zoom_iqa.objectives.advantages import group_advantages
from zoom_iqa.objectives.rewards.formulas import rank_reward, score_reward
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.rewards.terms import FEW_IMAGES, FormatTerm, RankTerm, ScoreTerm
from zoom_iqa.objectives.schedules import Linear, as_schedule
from zoom_iqa.parallel.reducer import LocalReducer

FAILED = ParseFailure("missing_answer", "no <answer>")


GROUPS = [
    group("a", 4.0, [4.0, 3.5, FAILED]),
    group("b", 2.0, [2.5, 2.0, 4.5], well_formed=False),
    group("c", 3.0, [3.0, 1.0, 2.25]),
]


def full_rubric(rank_weight=2.0):
    terms = {
        "format": FormatTerm(weight=1.0),
        "score": ScoreTerm(weight=1.0, sigma=0.35),
        "rank": RankTerm(weight=rank_weight, eps=1e-6, preference="ordinal"),
    }
    return Rubric(terms=terms)


def test_inputs_are_read_off_the_rollouts():
    inputs = RewardInputs.from_groups(GROUPS, reducer=LocalReducer())
    assert inputs.ratings_BG[0, :2].tolist() == [4.0, 3.5]
    assert math.isnan(inputs.ratings_BG[0, 2])
    assert inputs.well_formed_BG.tolist() == [[True] * 3, [False] * 3, [True] * 3]
    assert inputs.mos_B.tolist() == [4.0, 2.0, 3.0]
    assert inputs.statistics.mean_N.tolist() == [3.75, 3.0, pytest.approx(6.25 / 3)]


def test_last_turn_rates_and_every_turn_must_be_well_formed():
    item = rated_example(id="a", dataset="d", mos=3.0)
    two_turns = rollout(item, step(1.0, well_formed=False), step(4.0))
    inputs = RewardInputs.from_groups([RolloutGroup(example=item, rollouts=(two_turns,))], reducer=LocalReducer())
    assert inputs.ratings_BG.tolist() == [[4.0]]
    assert inputs.well_formed_BG.tolist() == [[False]]


def test_total_is_the_weighted_sum_of_its_breakdown():
    rewards = full_rubric().rewards(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()), step=0)
    ratings = RewardInputs.from_groups(GROUPS, reducer=LocalReducer()).ratings_BG
    mos = torch.tensor([4.0, 2.0, 3.0], dtype=torch.float64)
    expected = (
        torch.tensor([[1.0], [0.0], [1.0]]) + score_reward(ratings, mos, sigma=0.35) + 2 * rank_reward(ratings, mos)
    )
    torch.testing.assert_close(rewards.total_BG, expected.float())
    rebuilt = sum(rewards.weights[name] * term for name, term in rewards.terms.items())
    torch.testing.assert_close(rewards.total_BG, rebuilt)
    assert set(rewards.terms) == {"format", "score", "rank"}


def test_weight_may_follow_a_schedule():
    rubric = full_rubric(rank_weight=Linear(start=0.0, end=2.0, steps=10))
    inputs = RewardInputs.from_groups(GROUPS, reducer=LocalReducer())
    assert [rubric.rewards(inputs, step=s).weights["rank"] for s in (0, 5, 99)] == [0.0, 1.0, 2.0]


def test_split_over_ranks_changes_nothing(on_ranks):
    whole = full_rubric().rewards(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()), step=0).total_BG
    shares = [GROUPS[:1], GROUPS[1:]]
    parts = on_ranks(
        2, lambda rank, red: full_rubric().rewards(RewardInputs.from_groups(shares[rank], reducer=red), step=0).total_BG
    )
    assert torch.equal(torch.cat(parts), whole)


def test_one_image_a_rank_still_forms_pairs(on_ranks):
    term = RankTerm(weight=1.0, eps=1e-6, preference="ordinal")
    parts = on_ranks(3, lambda rank, red: term.reward(RewardInputs.from_groups([GROUPS[rank]], reducer=red)))
    assert all(part.max() > 0 for part in parts)


def test_single_image_in_all_is_refused():
    inputs = RewardInputs.from_groups(GROUPS[:1], reducer=LocalReducer())
    with pytest.raises(ConfigError, match="at least 2 images"):
        full_rubric().rewards(inputs, step=0)


def test_thurstone_reads_the_deviations_and_refuses_their_absence():
    term = RankTerm(weight=1.0, eps=1e-6, preference="thurstone")
    known = [group("a", 4.0, [4.0, 2.0], mos_std=0.5), group("b", 2.0, [3.0, 1.0], mos_std=0.7)]
    inputs = RewardInputs.from_groups(known, reducer=LocalReducer())
    expected = rank_reward(inputs.ratings_BG, inputs.mos_B, mos_std_B=torch.tensor([0.5, 0.7], dtype=torch.float64))
    assert torch.equal(term.reward(inputs), expected)
    with pytest.raises(ConfigError, match="3 of 3 lack it"):
        term.reward(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()))


def test_groups_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"sizes \[1, 3\]"):
        RewardInputs.from_groups([GROUPS[0], group("z", 1.0, [1.0])], reducer=LocalReducer())
    with pytest.raises(ValueError, match="got 0 groups"):
        RewardInputs.from_groups([], reducer=LocalReducer())


class BrokenTerm:
    def __init__(self, value):
        self.weight = as_schedule("w", 1.0)
        self._value = value

    def reward(self, inputs):
        return self._value


class SometimesBroken(BrokenTerm):
    def present(self, inputs):
        return self._value


def test_what_is_no_tensor_and_what_says_no_presence_is_named():
    inputs = RewardInputs.from_groups(GROUPS, reducer=LocalReducer())
    with pytest.raises(ConfigError, match=r"'broken' returned a list; it must be a tensor of shape \(3, 3\)"):
        Rubric(terms={"broken": BrokenTerm([[1.0] * 3] * 3)}).rewards(inputs, step=0)
    with pytest.raises(ConfigError, match=r"'broken\.present' returned torch\.float32; it must be a torch\.bool"):
        Rubric(terms={"broken": SometimesBroken(torch.ones(3, 3))}).rewards(inputs, step=0)


@pytest.mark.parametrize("names", [("total",), ("flat_groups",), ("broken", "broken_present")])
def test_a_name_that_is_logged_already_is_refused(names):
    with pytest.raises(ConfigError, match=rf"reward\.{names[-1]}: reward/{names[-1]} is logged already"):
        Rubric(terms={name: BrokenTerm(torch.ones(3, 3)) for name in names})


def test_a_term_of_another_shape_is_named():
    rubric = Rubric(terms={"broken": BrokenTerm(torch.ones(3))})
    with pytest.raises(ConfigError, match=r"'broken' returned shape \(3,\)"):
        rubric.rewards(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()), step=0)


def test_terms_that_are_not_finite_are_named_with_their_images():
    value = torch.ones(3, 3)
    value[1, 2], value[2, 0] = math.nan, math.inf
    rubric = Rubric(terms={"broken": BrokenTerm(value), "format": FormatTerm(weight=1.0)})
    rewards = rubric.rewards(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()), step=0)
    assert rewards.not_finite == {"broken": [1, 2]}
    assert full_rubric().rewards(RewardInputs.from_groups(GROUPS, reducer=LocalReducer()), step=0).not_finite == {}


def test_rubric_refuses_what_is_not_a_term():
    with pytest.raises(ConfigError, match=r"reward\.foo is not a reward term"):
        Rubric(terms={"foo": {"weight": 2.0}})
    with pytest.raises(ConfigError, match="no terms"):
        Rubric(terms={})


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScoreTerm(weight=1.0, sigma=0.0),
        lambda: RankTerm(weight=1.0, eps=0.0, preference="ordinal"),
        lambda: RankTerm(weight=1.0, eps=1e-6, preference="alphabetical"),
        lambda: FormatTerm(weight=math.nan),
        lambda: FormatTerm(weight="high"),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize("weight", [-1.0, Linear(start=1.0, end=-0.1, steps=3)])
def test_a_weight_below_0_is_named(weight):
    with pytest.raises(ConfigError, match=r"^reward\.rank\.weight"):
        full_rubric(rank_weight=weight)


def test_labels_that_a_term_cannot_be_made_of_are_refused():
    rank = RankTerm(weight=1.0, eps=1e-6, preference="thurstone")
    rubric = Rubric(terms={"rank": rank, "format": FormatTerm(weight=1.0)})
    known = [rated_example(id=str(i), dataset="d", mos=3.0, mos_std=0.5) for i in range(2)]
    rubric.check_labels(known)
    unknown = rated_example(id="x", dataset="d", mos=3.0)
    with pytest.raises(ConfigError, match=r"1 of 3 labels lack it \(the first is d:x\); set reward.rank.pref"):
        rubric.check_labels([*known, unknown])
    Rubric(terms={"rank": RankTerm(weight=1.0, eps=1e-6, preference="ordinal")}).check_labels([unknown, unknown])
    with pytest.raises(ConfigError, match="compares images and d has 1 here; use at least 2"):
        rubric.check_labels(known[:1])


@pytest.mark.parametrize(("images", "correlation"), [(2, 0.18), (3, 0.18), (4, 0.42), (5, 0.42), (7, 0.42)])
def test_few_images_cost_as_the_next_fewer_of_the_table(images, correlation):
    said = RankTerm(weight=1.0, eps=1e-6, preference="ordinal").cost_of_few(images)
    assert f"compares {images} images a step" in said
    assert f"correlation of about {correlation:.2f} (" in said


@pytest.mark.parametrize(("images", "correlation"), FEW_IMAGES)
def test_what_few_images_cost_the_rank_reward(images, correlation):
    """Ratings that err by an offset an image and noise a response: how far the advantage follows the error."""
    g = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    advantages, closeness = [], []
    for _ in range(800 // images):
        mos = (3 + 0.8 * normal(images)).clamp(1, 5)
        ratings = (mos[:, None] + 0.3 * normal(images, 1) + 0.5 * normal(images, 8)).clamp(1, 5)
        rewards = rank_reward((ratings * 100).round() / 100, mos)
        advantages.append(group_advantages(rewards, normalize_std=True, eps=1e-4).flatten())
        closeness.append(-(ratings - mos[:, None]).abs().flatten())
    pairs = torch.stack([torch.cat(advantages), torch.cat(closeness)])
    assert torch.corrcoef(pairs)[0, 1].item() == pytest.approx(correlation, abs=0.04)

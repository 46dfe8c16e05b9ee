"""The shipped choices compose, take the documented overrides, refuse typos, and build what they name."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import instantiate

from support.made_evidence import ALL_OVER, LOCAL, PRISTINE, REGION, WHOLE, inputs_of, judged
from support.made_rollouts import group
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.advantages import GroupAdvantages
from zoom_iqa.objectives.aggregation import SequenceMean, TokenMean
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.penalties.base import Penalty
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.parallel.reducer import LocalReducer

CONF = Path(__file__).resolve().parents[3] / "conf"


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config_name=None, overrides=list(overrides))


def choices(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def two_images():
    groups = [group("a", 4.0, [4.0, 2.0]), group("b", 2.0, [3.0, 1.0])]
    return RewardInputs.from_groups(groups, reducer=LocalReducer())


def rubric(*overrides):
    return Rubric(terms=instantiate(composed(*overrides).reward))


@pytest.mark.parametrize(
    ("choice", "terms"),
    [("full", {"format", "score", "rank"}), ("score_only", {"format", "score"}), ("rank_only", {"format", "rank"})],
)
def test_reward_choices_hold_their_terms(choice, terms):
    assert set(rubric(f"+reward={choice}").rewards(two_images(), step=0).terms) == terms


def test_a_bonus_for_looking_is_added_to_any_reward():
    """The first of four answers is right and looked, as a quarter of its group did: 1 - 0.25 / 0.8."""
    ratings, looks = (4.0, 3.0, 2.0, 1.0), ([REGION], [], [], [])
    pairs = zip(ratings, looks, strict=True)
    group = [judged(LOCAL, rating=one, mos=4.0, looks=look, sample=n) for n, (one, look) in enumerate(pairs)]
    rewards = rubric("+reward=score_only", "+reward/terms=look").rewards(inputs_of(group), step=0)
    assert rewards.weights["look"] == 0.2
    assert rewards.terms["look"].tolist() == [[pytest.approx(0.6875), 0.0, 0.0, 0.0]]


def test_paper_weights():
    assert rubric("+reward=full").rewards(two_images(), step=0).weights == {"format": 1.0, "score": 1.0, "rank": 2.0}


def test_the_whole_image_named_for_every_image_passes_no_rung_of_locating():
    """Of the embedded training images 67 % are damaged all over, 30 % in a region (here a fifth of it), 3 % not."""
    truths = [ALL_OVER] * 67 + [LOCAL] * 30 + [PRISTINE] * 3
    for boxes, passed, mean in ((None, False, 0.67 + 0.30 * 0.2), (REGION, True, 0.67 + 0.30)):
        curriculum = instantiate(composed("+reward=curriculum").reward.curriculum)
        groups = [
            [judged(truth, evidence=[(boxes if boxes and truth is LOCAL else WHOLE, "blur")], name=str(number))]
            for number, truth in enumerate(truths)
        ]
        for _ in range(3):
            figures = curriculum.advance(inputs_of(*groups))
        assert figures["locate"] == pytest.approx(mean)
        assert curriculum.progress.passed["locate"] is passed


def test_command_line_paths():
    overrides = ["reward.format.weight=0.5", "reward.score.weight=3", "reward.score.sigma=0.7", "reward.rank.weight=0"]
    rewards = rubric("+reward=full", *overrides).rewards(two_images(), step=0)
    assert rewards.weights == {"format": 0.5, "score": 3.0, "rank": 0.0}
    # rating 2 against MOS 4: exp(-4 / (2 * 0.49))
    assert rewards.terms["score"][0, 1].item() == pytest.approx(torch.exp(torch.tensor(-4 / 0.98)).item())


def test_a_weight_may_be_a_schedule_from_the_command_line():
    schedule = "{_target_:zoom_iqa.objectives.schedules.Linear,start:0,end:2,steps:10}"
    built = rubric("+reward=full", f"reward.rank.weight={schedule}")
    assert built.rewards(two_images(), step=5).weights["rank"] == 1.0


def test_a_term_can_be_dropped():
    assert set(rubric("+reward=full", "~reward.rank").rewards(two_images(), step=0).terms) == {"format", "score"}


def test_unknown_keys_are_errors():
    with pytest.raises(ConfigCompositionException, match="sgima"):
        rubric("+reward=full", "reward.score.sgima=1")
    with pytest.raises(InstantiationException, match="sgima"):
        rubric("+reward=full", "+reward.score.sgima=1")
    with pytest.raises(ConfigError, match=r"reward\.foo is not a reward term"):
        rubric("+reward=full", "+reward.foo.weight=1")


@pytest.mark.parametrize(("group", "kind"), [("filters", TokenFilter), ("penalties", Penalty)])
def test_filters_and_penalties_build(group, kind):
    for choice in choices(group):
        made = instantiate(composed("+seed=3", f"+{group}={choice}")[group])
        assert all(isinstance(part, kind) for part in made.values())
        assert list(made) == ([] if choice == "none" else [choice])


def test_filters_and_penalties_there_are():
    assert choices("filters") == ["clip_cov", "evidence", "none", "random_share"]
    assert choices("penalties") == ["entropy", "kl_cov", "kl_coverage", "kl_reference", "none"]


def test_penalties_compose():
    made = instantiate(composed("+penalties=[kl_coverage,entropy]", "penalties.entropy.coefficient=0.5").penalties)
    assert list(made) == ["kl_coverage", "entropy"]


@pytest.mark.parametrize("anchor", ["old", "reference"])
@pytest.mark.parametrize("divergence", ["sampled", "exact"])
def test_coverage_options(anchor, divergence):
    changed = [f"penalties.kl_coverage.{key}" for key in (f"anchor={anchor}", f"divergence={divergence}")]
    built = instantiate(composed("+penalties=kl_coverage", *changed).penalties)["kl_coverage"]
    refused = anchor == "old"
    if refused:
        with pytest.raises(ConfigError, match="exactly zero"):
            built.check(updates_per_rollout=1)
    else:
        built.check(updates_per_rollout=1)
    assert bool(built.signals) is not (anchor == "old" and divergence == "sampled")


@pytest.mark.parametrize(("choice", "expected"), [("grpo", 1 / 2**0.5), ("no_std", 1.0)])
def test_advantage_choices(choice, expected):
    advantages = instantiate(composed(f"+loss={choice}").loss.advantage)
    assert isinstance(advantages, GroupAdvantages)
    assert advantages(torch.tensor([[1.0, 3.0]]))[0, 1].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("choice", "kind"), [("grpo", SequenceMean), ("token_mean", TokenMean)])
def test_aggregation_choices(choice, kind):
    assert isinstance(instantiate(composed(f"+loss={choice}").loss.aggregation), kind)

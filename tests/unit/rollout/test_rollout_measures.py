"""What is watched in rollouts, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.made_rollouts import group, rollout, step
from zoom_iqa.base.types import (
    Ending,
    Example,
    ImageRef,
    ParseFailure,
    Preference,
    Reading,
    Rollout,
    RolloutGroup,
    rated_example,
)
from zoom_iqa.objectives.measures import to_floats
from zoom_iqa.objectives.rewards.rubric import Rewards
from zoom_iqa.rollout.measures import digit_measures, reward_measures, rollout_measures
from zoom_iqa.tasks.caption_reason import read_caption_reason
from zoom_iqa.tasks.grades import CRITERIA


def test_ratings_off_the_scale_are_a_share_of_the_readable_ones() -> None:
    groups = [group("a", 3.0, [5.5, 5.0, ParseFailure("bad_rating", "")]), group("b", 2.0, [0.0, 2.0, 5.0])]
    measures = to_floats(rollout_measures(groups))
    assert measures["rollout/clipped_rating_rate"] == pytest.approx(2 / 5)
    assert measures["rollout/valid_rate"] == pytest.approx(5 / 6)
    assert measures["rollout/failed_bad_rating"] == pytest.approx(1 / 6)
    assert measures["rollout/rating"] == pytest.approx((5 + 5 + 1 + 2 + 5) / 5)
    assert measures["rollout/distinct_ratings_per_image"] == pytest.approx(3 / 2)


def test_ratings_are_distinct_that_differ_in_their_second_decimal() -> None:
    measures = to_floats(rollout_measures([group("a", 3.0, [3.01, 3.04, 3.01])]))
    assert measures["rollout/distinct_ratings_per_image"] == 2


def test_the_spread_of_rewards_is_within_groups_and_a_flat_one_has_no_advantage_at_all() -> None:
    rewards = Rewards(total_BG=torch.tensor([[0.0, 1.0], [2.0, 3.0]]), terms={}, weights={})
    measures = to_floats(reward_measures(rewards, torch.tensor([[0.0, 1.0], [0.0, 0.0]])))
    assert measures == {"reward/total": 1.5, "reward/group_std": 0.5, "reward/flat_groups": 0.5}


def test_lengths_are_per_turn_and_forms_crops_and_endings_per_rollout() -> None:
    """Two turns, the second cut and ill-formed; one that asks for a bad box; one as it should be."""
    example = rated_example(id="a", dataset="d", mos=3.0)
    looked = step(3.0, box=(0, 0, 4, 4), token_ids=(1, 2, 3, 4))
    cut = step(3.5, well_formed=False, token_ids=(1, 2))
    cut = replace(cut, generation=replace(cut.generation, finish="length"))
    refused = rollout(example, step(4.0, token_ids=(1, 2, 3)), ending=Ending.BAD_BBOX)
    made = rollout(example, looked, cut), refused, rollout(example, step(2.0, token_ids=(1,)))
    found = to_floats(rollout_measures([RolloutGroup(example, made)]))
    assert found["rollout/tokens_per_turn"] == pytest.approx((4 + 2 + 3 + 1) / 4)
    assert found["rollout/truncated_rate"] == pytest.approx(1 / 4)
    rates = [found[f"rollout/{name}_rate"] for name in ("crop", "format", "routing_warning")]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1 / 3])


def test_choices_are_shares_of_the_answers_that_can_be_read() -> None:
    example = Example(id="p", dataset="d", images=(ImageRef(), ImageRef()), target=Preference(choice="Image A"))
    readings = [
        Reading(values={"choice": one}, well_formed=True) for one in ("Image A", "Image A", "Similar", "Image B")
    ]
    unread = Reading(well_formed=False, failure=ParseFailure("bad_choice", ""))
    made = tuple(replace(described(one), example=example) for one in (*readings, unread))
    found = to_floats(rollout_measures([RolloutGroup(example, made)]))
    shares = [found[f"rollout/choice_{name}"] for name in ("first", "second", "similar")]
    assert shares == [1 / 2, 1 / 4, 1 / 4]
    assert "rollout/choice_first" not in to_floats(rollout_measures([group("a", 3.0, [3.0])]))


def test_grades_of_a_judge_are_means_over_those_that_were_given() -> None:
    """Of four rollouts one says nothing to be asked about; of three answers one has no grades."""
    example = rated_example(id="a", dataset="d", mos=3.0)
    texts = ["".join(f"<{name}>{2 * place + k}</{name}>" for place, name in enumerate(CRITERIA)) for k in (1, 3)]
    asked = [(rollout(example, step(3.0, text=text)),) for text in (*texts, "good")]
    made = tuple(replace(rollout(example, step(3.0)), probes={"judge": answers}) for answers in (*asked, ()))
    found = to_floats(rollout_measures([RolloutGroup(example, made)]))
    assert found["judge/asked"] == pytest.approx(3 / 4)
    assert [found[f"judge/{name}"] for name in CRITERIA] == [2.0, 4.0, 6.0, 8.0]
    assert found["judge/failed_missing_criterion"] == pytest.approx(1 / 3)
    assert found["judge/failed_length"] == 0


def test_reasons_of_a_tasks_own_are_one_share() -> None:
    own = [ParseFailure("bad_word", ""), ParseFailure("bad_rating", ""), 3.0, ParseFailure("bad_colour", "")]
    measures = to_floats(rollout_measures([group("a", 3.0, own)]))
    assert measures["rollout/failed_other"] == pytest.approx(2 / 4)
    assert measures["rollout/failed_bad_rating"] == pytest.approx(1 / 4)


def test_captions_are_counted_by_kind_where_a_task_asks_for_them() -> None:
    texts = ["<caption>a</caption>", "<caption></caption>", "no", "<caption>3.5</caption>", "<caption>b</caption>"]
    made = [described(read_caption_reason(text)) for text in texts]
    found = to_floats(rollout_measures([RolloutGroup(made[0].example, tuple(made))]))
    shares = {name.removeprefix("rollout/caption_"): share for name, share in found.items() if "caption_" in name}
    assert shares == pytest.approx({"plain": 0.4, "empty": 0.2, "absent": 0.2, "rated": 0.2})
    without = to_floats(rollout_measures([group("a", 3.0, [3.0])]))
    assert not any("caption" in name or name.startswith("probe/") for name in without)


def test_probes_say_what_they_asked_and_what_it_cost() -> None:
    example = rated_example(id="a", dataset="d", mos=3.0)
    asked = rollout(example, step(2.0, token_ids=(1, 2, 3)))
    unread = rollout(example, step(ParseFailure("bad_rating", ""), token_ids=(1,)))
    own = step(3.0, token_ids=(1, 2, 3, 4))
    made = [
        replace(rollout(example, own), probes={"description": (asked,)}),
        replace(rollout(example, own), probes={"description": (unread,)}),
        replace(rollout(example, own), probes={"description": ()}),
    ]
    found = to_floats(rollout_measures([RolloutGroup(example, tuple(made))]))
    assert {name: found[name] for name in found if name.startswith("probe/")} == pytest.approx(
        {
            "probe/description_asked": 2 / 3,
            "probe/description_valid": 1 / 2,
            "probe/description_tokens": 4 / 3,
            "probe/description_cost": 4 / 12,
        }
    )


def test_the_entropy_at_digits_is_a_mean_over_the_marked_tokens_of_all_turns() -> None:
    """Tokens in order: 0.5 0.1 | 0.3 | 0.9 0.7; the second, third and fifth are digits, of ratings the last two."""
    example = rated_example(id="a", dataset="d", mos=3.0)
    first, second, third = (
        replace(made, generation=replace(made.generation, entropies=entropies))
        for made, entropies in (
            (step(3.0, token_ids=(1, 2)), (0.5, 0.1)),
            (step(3.0, token_ids=(3,)), (0.3,)),
            (step(3.0, token_ids=(4, 5)), (0.9, 0.7)),
        )
    )
    groups = [RolloutGroup(example, (rollout(example, first, second), rollout(example, third)))]
    marked = torch.tensor([False, True, True, False, True])
    ratings = torch.tensor([False, False, True, False, True])
    found = to_floats(digit_measures(groups, digits_T=marked, rating_T=ratings))
    assert found == pytest.approx(
        {"rollout/digit_entropy": (0.1 + 0.3 + 0.7) / 3, "rollout/rating_entropy": (0.3 + 0.7) / 2}
    )


def described(reading: Reading) -> Rollout:
    made = rollout(rated_example(id="a", dataset="d", mos=3.0), step(3.0))
    return replace(made, steps=(replace(made.steps[0], reading=reading),))

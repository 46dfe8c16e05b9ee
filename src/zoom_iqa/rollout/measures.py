"""Measures of rollouts: crops, formats, failures by reason, lengths, entropy, and whether scores stay diverse."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.base.errors import FAILURE_REASONS
from zoom_iqa.base.types import ParseFailure, Rollout, RolloutGroup
from zoom_iqa.objectives.measures import Mean, Measures, mean_of
from zoom_iqa.objectives.rewards.rubric import Rewards


def rollout_measures(groups: Sequence[RolloutGroup]) -> Measures:
    """Rates are per rollout, lengths per turn in tokens, entropy per token in nats."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    steps = [step for rollout in rollouts for step in rollout.steps]
    ratings = [rollout.rating for rollout in rollouts]
    readable = [rating for rating in ratings if isinstance(rating, float)]
    return {
        "rollout/crop_rate": _mean([rollout.cropped for rollout in rollouts]),
        "rollout/format_rate": _mean([rollout.well_formed for rollout in rollouts]),
        "rollout/valid_rate": _mean([isinstance(rating, float) for rating in ratings]),
        "rollout/routing_warning_rate": _mean([rollout.ending.failure is not None for rollout in rollouts]),
        "rollout/clipped_rating_rate": _mean([rollout.clipped for rollout in rollouts if _readable(rollout)]),
        "rollout/tokens_per_turn": _mean([len(step.generation.sampled.ids) for step in steps]),
        "rollout/truncated_rate": _mean([step.generation.finish == "length" for step in steps]),
        "rollout/entropy": _mean([entropy for step in steps for entropy in step.generation.sampled.entropies]),
        "rollout/rating": _mean(readable),
        "rollout/distinct_ratings_per_image": _mean([len({round(rating, 2) for rating in readable}) / len(groups)]),
        **{
            f"rollout/failed_{reason}": _mean([_failed(rollout, reason) for rollout in rollouts])
            for reason in FAILURE_REASONS
        },
    }


def reward_measures(rewards: Rewards, advantages_BG: torch.Tensor) -> Measures:
    """Mean of the total and of each unweighted term, and the share of groups that teach nothing."""
    return {
        "reward/total": mean_of(rewards.total_BG),
        "reward/group_std": mean_of(rewards.total_BG.std(1, unbiased=False)),
        "reward/flat_groups": mean_of((advantages_BG == 0).all(1)),
        **{f"reward/{name}": mean_of(term_BG) for name, term_BG in rewards.terms.items()},
    }


def _mean(values: Sequence[float]) -> Mean:
    return mean_of(torch.tensor(values, dtype=torch.float64))


def _readable(rollout: Rollout) -> bool:
    return isinstance(rollout.rating, float)


def _failed(rollout: Rollout, reason: str) -> bool:
    return isinstance(rollout.rating, ParseFailure) and rollout.rating.reason == reason

"""Measures of rollouts: crops, formats, failures by reason, lengths, entropy, and whether scores stay diverse."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.base.errors import FAILURE_REASONS
from zoom_iqa.base.targets import RATING_MAX, Preference
from zoom_iqa.base.types import ParseFailure, Rollout, RolloutGroup
from zoom_iqa.objectives.measures import Distinct, Mean, Measures, mean_of
from zoom_iqa.objectives.rewards.rubric import Rewards
from zoom_iqa.tasks.description import Caption
from zoom_iqa.tasks.grades import CRITERIA, GRADE_FAILURES, JUDGE, read_grades

CAPTION_KINDS = tuple(kind.value for kind in Caption)
CHOICE_NAMES = (("first", "Image A"), ("second", "Image B"), ("similar", "Similar"))


def rollout_measures(groups: Sequence[RolloutGroup]) -> Measures:
    """Rates are per rollout, lengths per turn in tokens, entropy per token in nats."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    steps = [step for rollout in rollouts for step in rollout.steps]
    readable = [rating for rollout in rollouts if isinstance(rating := rollout.rating, float)]
    return {
        "rollout/crop_rate": _mean([rollout.cropped for rollout in rollouts]),
        "rollout/format_rate": _mean([rollout.well_formed for rollout in rollouts]),
        "rollout/valid_rate": _mean([_readable(rollout) for rollout in rollouts]),
        "rollout/routing_warning_rate": _mean([rollout.ending.failure is not None for rollout in rollouts]),
        "rollout/clipped_rating_rate": _mean([one.clipped for one in rollouts if isinstance(one.rating, float)]),
        "rollout/tokens_per_turn": _mean([len(step.generation.sampled.ids) for step in steps]),
        "rollout/truncated_rate": _mean([step.generation.finish == "length" for step in steps]),
        "rollout/entropy": _mean([entropy for step in steps for entropy in step.generation.sampled.entropies]),
        "rollout/rating": _mean(readable),
        "rollout/distinct_ratings_per_image": _distinct(readable, images=len(groups)),
        **_failure_measures(rollouts),
        **_caption_measures(rollouts),
        **_choice_measures(rollouts),
        **_probe_measures(rollouts),
        **_judge_measures(rollouts),
    }


def digit_measures(groups: Sequence[RolloutGroup], *, digits_T: torch.Tensor, rating_T: torch.Tensor) -> Measures:
    """Entropy at the digits of answers, and where texts first write their ratings; masks (T,) mark both.

    The second falls before scores collapse. The first has digits of boxes as well, and copies of ratings that a
    rationale has named; the entropy of all tokens hardly shows a collapse, as most of them belong to the form.
    """
    steps = [step for group in groups for rollout in group.rollouts for step in rollout.steps]
    entropy_T = torch.tensor(
        [entropy for step in steps for entropy in step.generation.sampled.entropies], dtype=torch.float64
    )
    return {
        "rollout/digit_entropy": mean_of(entropy_T[digits_T]),
        "rollout/rating_entropy": mean_of(entropy_T[rating_T]),
    }


def _failure_measures(rollouts: Sequence[Rollout]) -> Measures:
    """Shares by reason; a task's own reasons are one, as all processes must have the same names."""
    judgements = [rollout.judgement for rollout in rollouts]
    reasons = [one.reason if isinstance(one, ParseFailure) else None for one in judgements]
    known = {f"rollout/failed_{reason}": _mean([one == reason for one in reasons]) for reason in FAILURE_REASONS}
    return {**known, "rollout/failed_other": _mean([one not in (None, *FAILURE_REASONS) for one in reasons])}


def _caption_measures(rollouts: Sequence[Rollout]) -> Measures:
    """Shares of captions by their kind, in tasks that ask for captions."""
    kinds = [rollout.steps[-1].reading.values.get("caption") for rollout in rollouts]
    if not any(kinds):
        return {}
    return {f"rollout/caption_{kind}": _mean([one == kind for one in kinds]) for kind in CAPTION_KINDS}


def _choice_measures(rollouts: Sequence[Rollout]) -> Measures:
    """Shares of the three answers among those that can be read, in tasks that compare."""
    if not any(isinstance(rollout.example.target, Preference) for rollout in rollouts):
        return {}  # by the labels, which all processes have alike, not by the answers
    choices = [choice for rollout in rollouts if (choice := rollout.steps[-1].reading.choice) is not None]
    return {f"rollout/choice_{name}": _mean([one == choice for one in choices]) for name, choice in CHOICE_NAMES}


def _probe_measures(rollouts: Sequence[Rollout]) -> Measures:
    """How many rollouts each probe asks about, how many of its answers can be read, and what they cost in tokens."""
    own = sum(_tokens(rollout) for rollout in rollouts)
    measures: Measures = {}
    for name in dict.fromkeys(name for rollout in rollouts for name in rollout.probes if name != JUDGE):
        answers = [rollout.probes.get(name, ()) for rollout in rollouts]
        tokens = [sum(map(_tokens, asked)) for asked in answers]
        measures |= {
            f"probe/{name}_asked": _mean([bool(asked) for asked in answers]),
            f"probe/{name}_valid": _mean([_readable(one) for asked in answers for one in asked]),
            f"probe/{name}_tokens": _mean(tokens),
            f"probe/{name}_cost": Mean(*torch.tensor([sum(tokens), own], dtype=torch.float64)),
        }
    return measures


def _judge_measures(rollouts: Sequence[Rollout]) -> Measures:
    """How many rollouts the judge is asked about, why it gave no grades, and the mean of each grade."""
    if not any(JUDGE in rollout.probes for rollout in rollouts):
        return {}
    answers = [one.steps[-1].generation for rollout in rollouts for one in rollout.probes.get(JUDGE, ())]
    outcomes = [read_grades(made.text, made.finish) for made in answers]
    graded = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    return {
        "judge/asked": _mean([bool(rollout.probes.get(JUDGE)) for rollout in rollouts]),
        **{f"judge/{name}": _mean([grades[name] for grades in graded]) for name in CRITERIA},
        **{f"judge/failed_{reason}": _mean([outcome == reason for outcome in outcomes]) for reason in GRADE_FAILURES},
    }


def _tokens(rollout: Rollout) -> int:
    return sum(len(step.generation.token_ids or ()) for step in rollout.steps)


def reward_measures(rewards: Rewards, advantages_BG: torch.Tensor) -> Measures:
    """Mean of the total and of each unweighted term, and the share of groups that teach nothing.

    A term that not every response has is a mean over those which do, beside their share.
    """
    return {
        "reward/total": mean_of(rewards.total_BG),
        "reward/group_std": mean_of(rewards.total_BG.std(1, unbiased=False)),
        "reward/flat_groups": mean_of((advantages_BG == 0).all(1)),
        **{f"reward/{name}": mean_of(_of_present(name, rewards)) for name in rewards.terms},
        **{f"reward/{name}_present": mean_of(present_BG) for name, present_BG in rewards.present.items()},
    }


def _of_present(name: str, rewards: Rewards) -> torch.Tensor:
    term_BG = rewards.terms[name]
    return term_BG[rewards.present[name]] if name in rewards.present else term_BG


def _mean(values: Sequence[float]) -> Mean:
    return mean_of(torch.tensor(values, dtype=torch.float64))


def _distinct(ratings: Sequence[float], *, images: int) -> Distinct:
    """Of ratings at two decimals, over all images of all processes."""
    steps = torch.tensor([round(rating * 100) for rating in ratings], dtype=torch.int64)
    counts_D = torch.bincount(steps, minlength=int(RATING_MAX) * 100 + 1).double()
    return Distinct(counts_D, torch.tensor(images, dtype=torch.float64))


def _readable(rollout: Rollout) -> bool:
    return not isinstance(rollout.judgement, ParseFailure)

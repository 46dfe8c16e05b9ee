"""Predictions -> the figures of a run: the metric summary, and the mean reward the rubric gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoom_iqa.evaluation.predictions import Prediction
from zoom_iqa.metrics.summary import ImageOutcome, summarize
from zoom_iqa.objectives.rewards import group_statistics
from zoom_iqa.objectives.rubric import RewardInputs, RewardTerm, Rubric
from zoom_iqa.types import ParseFailure

StageMetrics = dict[str, Any]
BOOTSTRAP_RESAMPLES = 1000
BOOTSTRAP_SEED = 0


def score_predictions(predictions: Sequence[Prediction], reward: Mapping[str, RewardTerm] | None) -> StageMetrics:
    """JSON-safe figures over predictions, one trajectory per image; ``mean_reward`` only where a rubric is given."""
    summary = summarize([_outcome(p) for p in predictions], n_resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED)
    figures: StageMetrics = summary.as_dict()
    if reward is not None:
        figures["mean_reward"] = mean_reward(predictions, reward)
    return figures


def mean_reward(predictions: Sequence[Prediction], reward: Mapping[str, RewardTerm]) -> float:
    """Mean total reward with the weights of step 0, each image a group of one and ranked against all others."""
    ratings_B1 = torch.tensor([[math.nan if p.rating is None else p.rating] for p in predictions], dtype=torch.float64)
    mos_B = torch.tensor([p.mos for p in predictions], dtype=torch.float64)
    std_B = torch.tensor([math.nan if p.mos_std is None else p.mos_std for p in predictions], dtype=torch.float64)
    inputs = RewardInputs(
        groups=(),
        ratings_BG=ratings_B1,
        well_formed_BG=torch.tensor([[p.well_formed] for p in predictions]),
        mos_B=mos_B,
        statistics=group_statistics(ratings_B1, mos_B, std_B),
        own_offset=0,
    )
    return float(Rubric(terms=reward).score(inputs, step=0).total_BG.mean())


def _outcome(prediction: Prediction) -> ImageOutcome:
    rating: float | ParseFailure
    if prediction.rating is not None:
        rating = prediction.rating
    else:
        assert prediction.failure is not None, "a prediction has a rating or says why not"
        rating = ParseFailure(prediction.failure, "")
    return ImageOutcome(
        rating=rating,
        mos=prediction.mos,
        cropped=prediction.rounds > 1,
        well_formed=prediction.well_formed,
        routing_warning=prediction.routing_warning,
    )

"""A reward that climbs: name the defect, locate it, rate the image, rank it against others.

After the abstract of Q-DeepSight (arXiv 2604.16858), whose Perceptual Curriculum Reward is meant against sparse
rewards. Only the abstract is public, so that the mechanics are ours. A rung is passed when the policy's competence on
it, a running mean of the rung's reward, reaches a threshold, and open again only when it falls below a lower one. The
first rung that is not passed has its full weight; those below keep a share, so that they are not forgotten, and those
above have a share, so that a lucky answer is not wasted. The tolerance of the rating narrows while it is rated well.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative, require_positive, require_share
from zoom_iqa.base.records import Record
from zoom_iqa.metrics.evidence import locating, naming
from zoom_iqa.objectives.rewards.formulas import score_reward
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.rewards.looks import LookBonus as LookBonus  # its name in the configs of every run
from zoom_iqa.objectives.rewards.terms import OfScores, RankTerm
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.tasks.task import Given

RATE, RANK = "rate", "rank"
GATED = ("name", "locate", RATE)
LADDER = (*GATED, RANK)
"""The rungs from the lowest; no gate follows on the last."""
WITHOUT_TRUTH = (RATE, RANK)
"""The ladder of images whose defect is not known."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Full weight of a rung, the competence in [0, 1] from which on it is passed, and that below which it is no more.

    Raises:
        ConfigError: a value is out of range, or the second threshold is above the first.
    """

    weight: float
    pass_at: float
    open_below: float

    def __post_init__(self) -> None:
        require_not_negative("reward.curriculum.rungs.weight", self.weight)
        require_share("reward.curriculum.rungs.pass_at", self.pass_at)
        if not 0 <= self.open_below <= self.pass_at:
            raise ConfigError(
                f"reward.curriculum.rungs.open_below={self.open_below} must be from 0 to pass_at={self.pass_at}"
            )


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The standard deviation of R_score: from ``widest`` to ``narrowest``, a ``factor`` narrower at each step.

    It narrows while the rung of rating is passed, widens again by the same factor while its competence is below the
    lower threshold, and stays in between.

    Raises:
        ConfigError: the bounds are no range of positive numbers, or the factor is not between 0 and 1.
    """

    widest: float
    narrowest: float
    factor: float

    def __post_init__(self) -> None:
        if not 0 < self.narrowest <= self.widest:
            raise ConfigError(
                f"reward.curriculum.tolerance.narrowest={self.narrowest} must be above 0 and at most "
                f"widest={self.widest}"
            )
        if not 0 < self.factor < 1:
            raise ConfigError(f"reward.curriculum.tolerance.factor={self.factor} must be between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a curriculum: competence by rung (absent until measured), the gated rungs passed, the tolerance."""

    competence: Mapping[str, float]
    passed: Mapping[str, bool]
    tolerance: float


class PerceptualCurriculum(OfScores):
    """The ladder as one reward term, whose weights follow from what the policy can do.

    ``passed_share`` and ``waiting_share`` in [0, 1] are what rungs below and above the current one have of their
    weight; ``memory`` in [0, 1) is the share of the past in a competence.

    Raises:
        ConfigError: a value is out of range, or a rung is missing or unknown.
    """

    key = "reward.curriculum"
    min_images = RankTerm.min_images
    needs: frozenset[Given] = frozenset({"evidence"})

    def __init__(
        self,
        *,
        weight: float | Schedule,
        rungs: Mapping[str, Rung],
        rank_weight: float,
        passed_share: float,
        waiting_share: float,
        memory: float,
        tolerance: Tolerance,
        rank_eps: float,
    ) -> None:
        if set(rungs) != set(GATED):
            raise ConfigError(f"reward.curriculum.rungs: {', '.join(rungs)} must be {', '.join(GATED)}")
        require_not_negative("reward.curriculum.rank_weight", rank_weight)
        require_positive("reward.curriculum.rank_eps", rank_eps)
        require_share("reward.curriculum.passed_share", passed_share)
        require_share("reward.curriculum.waiting_share", waiting_share)
        if not 0 <= memory < 1:
            raise ConfigError(f"reward.curriculum.memory={memory} must be at least 0 and below 1")
        self.weight = as_schedule("reward.curriculum.weight", weight)
        self._rungs = {name: rungs[name] for name in GATED}
        self._full = {**{name: rung.weight for name, rung in self._rungs.items()}, RANK: rank_weight}
        self._passed_share, self._waiting_share, self._memory = passed_share, waiting_share, memory
        self._tolerance = tolerance
        self._rank = RankTerm(weight=1.0, eps=rank_eps, preference="ordinal")
        self._progress = Progress(competence={}, passed=dict.fromkeys(GATED, False), tolerance=tolerance.widest)

    @property
    def progress(self) -> Progress:
        """The state of the ladder."""
        return self._progress

    def cost_of_few(self, images: int) -> str | None:
        """As for the rank term, which is the last rung."""
        return self._rank.cost_of_few(images)

    def reward(self, inputs: RewardInputs) -> Tensor:
        """Return the weighted sum of the rungs at their present weights, shape (B, G)."""
        values = self._values(inputs)
        known, unknown = self.weights(LADDER), self.weights(WITHOUT_TRUTH)
        total_BG = torch.zeros(inputs.shape, dtype=torch.float64)
        for name, value_BG in values.items():
            has_truth_BG = ~values["name"].isnan()
            weight_BG = torch.where(has_truth_BG, known[name], unknown.get(name, 0.0)).double()
            total_BG += weight_BG * value_BG.nan_to_num(0.0)
        return total_BG

    def advance(self, inputs: RewardInputs) -> dict[str, float]:
        """Take a batch into account, for the rewards of the next one; every process must call it.

        Returns what to log of the batch: each rung's mean over all processes, its weight for images with a known
        truth, and 1 where it was passed, as they were when the batch was rewarded; and the tolerance.
        """
        means = {name: _mean(value_BG, inputs.reducer) for name, value_BG in self._values(inputs).items()}
        weights, before = self.weights(LADDER), self._progress
        self.learn({name: mean for name, mean in means.items() if mean is not None})
        return {
            **{name: mean for name, mean in means.items() if mean is not None},
            **{f"{name}_weight": weights[name] for name in LADDER},
            **{f"{name}_passed": float(before.passed[name]) for name in GATED},
            "tolerance": before.tolerance,
        }

    def state_dict(self) -> dict[str, Any]:
        """The progress."""
        return asdict(self._progress)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._progress = Progress(**state)

    def _values(self, inputs: RewardInputs) -> dict[str, Tensor]:
        """Each rung's reward in [0, 1], shape (B, G); NaN where the truth it needs is not known."""
        return {
            "name": _judged(inputs, naming),
            "locate": _judged(inputs, locating),
            RATE: score_reward(inputs.ratings_BG, inputs.mos_B, sigma=self._progress.tolerance),
            RANK: self._rank.reward(inputs),
        }

    def weights(self, ladder: Sequence[str]) -> dict[str, float]:
        """The weights that a ladder of some of the rungs has now."""
        weights, below = {}, True  # whether all rungs below are passed
        for name in ladder:
            passed = self._progress.passed.get(name, False)
            share = self._waiting_share if not below else self._passed_share if passed else 1.0
            weights[name] = share * self._full[name]
            below = below and passed
        return weights

    def learn(self, means: Mapping[str, float]) -> None:
        """Go on from a batch in which the rungs had these means."""
        before, competence, passed = self._progress, dict(self._progress.competence), dict(self._progress.passed)
        for name, mean in means.items():
            past = competence.get(name, mean)
            competence[name] = self._memory * past + (1 - self._memory) * mean
            if name in GATED:
                rung = self._rungs[name]
                passed[name] = competence[name] >= (rung.open_below if before.passed[name] else rung.pass_at)
        bounds, tolerance = self._tolerance, before.tolerance
        if passed[RATE] and RATE in competence:
            tolerance = max(bounds.narrowest, tolerance * bounds.factor)
        elif competence.get(RATE, math.inf) < self._rungs[RATE].open_below:
            tolerance = min(bounds.widest, tolerance / bounds.factor)
        self._progress = Progress(competence=competence, passed=passed, tolerance=tolerance)


def _judged(inputs: RewardInputs, judge: Any) -> Tensor:
    def value(record: Record) -> float:
        found = judge(record)
        return float("nan") if found is None else found

    return torch.tensor([[value(record) for record in group] for group in inputs.records], dtype=torch.float64)


def _mean(value_BG: Tensor, reducer: Reducer) -> float | None:
    """The mean over the responses of all processes that have a value; None where none has."""
    known_BG = ~value_BG.isnan()
    sums = reducer.sum(torch.stack([value_BG.nan_to_num(0.0).sum(), known_BG.sum().double()]))
    return float(sums[0] / sums[1]) if sums[1] > 0 else None

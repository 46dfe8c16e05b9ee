"""What filters and penalties of somebody's own return, and what they are called, is checked and named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.micro_batches import MicroBatch
from zoom_iqa.learning.mini_batch import MiniBatch, Planner
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.aggregation import Aggregation, SequenceMean, TokenMean
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs, PenaltyPlan
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.signals import Signal
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import BlankImage, CoarseCrop, View
from zoom_iqa.parallel.reducer import LocalReducer, Reducer

TABLE = TokenTable(
    sequences=(),
    trajectory_T=torch.tensor([0, 0, 1]),
    advantages_T=torch.tensor([1.0, 1.0, -1.0]),
    marks={},
    signals={"sampled": torch.zeros(3)},
)
ALL = torch.ones(3, dtype=torch.bool)


class OwnFilter(TokenFilter):
    def __init__(self, mask: object = ALL, factors: object = None, views: Mapping[str, View] | None = None) -> None:
        self._mask, self._factors = mask, torch.ones(3) if factors is None else factors
        self.views = views or {}

    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        return self._mask, {"selected": 1.0}  # type: ignore[return-value]

    def advantage_factors(self, tokens: TokenBatch, *, reducer: Reducer) -> Tensor:
        return self._factors  # type: ignore[return-value]


class OwnPenalty(Penalty):
    def __init__(
        self, coefficients: object = None, reads: str | None = None, views: Mapping[str, View] | None = None
    ) -> None:
        self._coefficients = torch.ones(3) if coefficients is None else coefficients
        self.signals = frozenset() if reads is None else frozenset({Signal("policy", view=reads)})
        self.views = views or {}

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        return PenaltyPlan(coefficient_M=self._coefficients)  # type: ignore[arg-type]

    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        raise NotImplementedError


def planner(
    filters: Mapping[str, TokenFilter] | None = None, penalties: Mapping[str, Penalty] | None = None
) -> Planner:
    return Planner(aggregation=TokenMean(), filters=filters or {}, penalties=penalties or {})


def plan(planner: Planner) -> MiniBatch:
    return planner.plan(TABLE, [MicroBatch((0,), torch.arange(3))], step=0, mini_batch=0, reducer=LocalReducer())


def test_what_fits_passes() -> None:
    made = plan(planner({"mine": OwnFilter()}, {"yours": OwnPenalty()}))
    assert made.keep_M.tolist() == [True] * 3
    assert made.plans["yours"].coefficient_M.tolist() == [1.0] * 3
    assert made.figures == {"mine/selected": 1.0}


class OneOfTwo(LocalReducer):
    """This process beside another with the same numbers."""

    def sum(self, values: Tensor) -> Tensor:
        return 2 * values


@pytest.mark.parametrize(
    ("aggregation", "weights"), [(SequenceMean(), [1 / 8, 1 / 8, 1 / 4]), (TokenMean(), [1 / 6] * 3)]
)
def test_tokens_weigh_as_among_those_of_all_processes(aggregation: Aggregation, weights: list[float]) -> None:
    """Four trajectories and six tokens in all."""
    made = Planner(aggregation=aggregation, filters={}, penalties={}).plan(
        TABLE, [MicroBatch((0,), torch.arange(3))], step=0, mini_batch=0, reducer=OneOfTwo()
    )
    assert made.batch.weights_M.tolist() == pytest.approx(weights)


@pytest.mark.parametrize("mask", [torch.tensor([True]), torch.tensor(True), torch.ones(3), [True] * 3])
def test_a_mask_that_is_none_is_named(mask: object) -> None:
    with pytest.raises(ConfigError, match=r"filters\.mine: the mask .*; it must be a tensor of bool, shape \(3,\)"):
        plan(planner({"mine": OwnFilter(mask)}))


@pytest.mark.parametrize("values", [torch.ones(1), torch.ones(4), [1.0] * 3])
def test_factors_and_coefficients_are_one_a_token(values: object) -> None:
    with pytest.raises(ConfigError, match=r"filters\.mine: advantage_factors .*; it must be a tensor of numbers"):
        plan(planner({"mine": OwnFilter(factors=values)}))
    with pytest.raises(ConfigError, match=r"penalties\.mine: coefficient_M .*; it must be a tensor of numbers"):
        plan(planner(penalties={"mine": OwnPenalty(values)}))


def test_names_under_which_something_is_logged_already_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"filters\.policy: figures are logged as policy/\.\.\. already"):
        planner({"policy": OwnFilter()})
    with pytest.raises(ConfigError, match=r"filters\.mine: figures are logged as mine/"):
        planner({"mine": OwnFilter()}, {"mine": OwnPenalty()})


def test_two_filters_may_share_a_view_and_not_the_name_of_two() -> None:
    planner({"a": OwnFilter(views={"seen": CoarseCrop()}), "b": OwnFilter(views={"seen": CoarseCrop()})})
    with pytest.raises(ConfigError, match=r"filters\.b and filters\.a both have a view 'seen'"):
        planner({"a": OwnFilter(views={"seen": CoarseCrop()}), "b": OwnFilter(views={"seen": BlankImage()})})


def test_a_penalty_brings_the_view_that_it_reads_or_another_part_does() -> None:
    alone = planner(penalties={"p": OwnPenalty(reads="seen", views={"seen": CoarseCrop()})})
    shared = planner({"f": OwnFilter(views={"seen": CoarseCrop()})}, {"p": OwnPenalty(reads="seen")})
    assert [list(made.views) for made in (alone, shared)] == [["seen"], ["seen"]]
    with pytest.raises(ConfigError, match=r"penalties\.p reads the view 'seen', which nothing brings; give it in its"):
        planner({"f": OwnFilter(views={"other": CoarseCrop()})}, {"p": OwnPenalty(reads="seen")})
    with pytest.raises(ConfigError, match=r"penalties\.p and filters\.f both have a view 'seen'"):
        planner({"f": OwnFilter(views={"seen": BlankImage()})}, {"p": OwnPenalty(views={"seen": CoarseCrop()})})


class Doubling(OwnPenalty):
    """Twice as strong with every plan."""

    def __init__(self) -> None:
        super().__init__()
        self.coefficient = 1.0

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        self.coefficient *= 2
        return PenaltyPlan(coefficient_M=torch.full((3,), self.coefficient))

    def state_dict(self) -> dict[str, Any]:
        return {"coefficient": self.coefficient}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.coefficient = state["coefficient"]


def test_parts_that_learn_as_they_go_are_saved_and_go_on(tmp_path: Path) -> None:
    first, second, new = Doubling(), Doubling(), Doubling()
    plan(planner(penalties={"doubling": first}))
    torch.save(update({"plain": OwnFilter()}, {"doubling": first}).state_dict(), tmp_path / "checkpoint")
    saved = torch.load(tmp_path / "checkpoint", weights_only=True)
    update({"plain": OwnFilter()}, {"doubling": second}).load_state_dict(saved)
    for penalty, coefficient in ((second, 4.0), (new, 2.0)):
        planned = plan(planner(penalties={"doubling": penalty})).plans["doubling"]
        assert planned.coefficient_M.tolist() == [coefficient] * 3


def test_a_state_that_has_lost_its_part_is_refused() -> None:
    kept = update({}, {"doubling": Doubling()}).state_dict()
    with pytest.raises(ConfigError, match="penalties: the checkpoint has states of doubling, and of those here none"):
        update({}, {"yours": OwnPenalty()}).load_state_dict(kept)
    with pytest.raises(ConfigError, match=r"states of none, and of those here doubling keeps one; keep the penalties"):
        update({}, {"doubling": Doubling()}).load_state_dict({})
    update({}, {"yours": OwnPenalty()}).load_state_dict({})  # as checkpoints of 0.1.0 are


def update(filters: Mapping[str, TokenFilter], penalties: Mapping[str, Penalty]) -> PolicyUpdate:
    return PolicyUpdate(
        loss=ClippedPolicyLoss(clip_low=0.2, clip_high=0.2),
        aggregation=TokenMean(),
        filters=filters,
        penalties=penalties,
        epochs=1,
        mini_batches=1,
        micro_batch_tokens=100,
        old_logp="sampled",
        sampler_check=SamplerCheck(tolerance=0.0, every=1),
    )

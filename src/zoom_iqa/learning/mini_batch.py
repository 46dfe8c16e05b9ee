"""The tokens of one optimizer step: weights, filters and plans over all processes, before it is cut to fit memory.

Legend: T generated tokens of the table, M those of a mini-batch, U those of a micro-batch; all on this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.micro_batches import MicroBatch
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.objectives.aggregation import Aggregation
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyPlan
from zoom_iqa.objectives.returned import unlike
from zoom_iqa.objectives.signals import SHOWN, Signal
from zoom_iqa.objectives.states import KeepsState, states_of, take_up
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import View
from zoom_iqa.parallel.reducer import Reducer

LOGGED = ("policy", "rollout", "reward", "probe", "judge")
"""What figures of the update's other parts begin with in a log."""


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """The tokens of one optimizer step in the order of the table, in which ``tokens_M`` are their indices.

    ``advantages_M`` are those of the policy loss, as filters shape them. ``figures`` describe what filters and
    penalties chose, over all processes.
    """

    micro_batches: tuple[MicroBatch, ...]
    tokens_M: Tensor
    batch: TokenBatch
    keep_M: Tensor
    advantages_M: Tensor
    plans: Mapping[str, PenaltyPlan]
    figures: Mapping[str, float]

    def places_of(self, micro: MicroBatch) -> Tensor:
        """Places of a micro-batch's tokens among the M, shape (U,)."""
        return torch.searchsorted(self.tokens_M, micro.tokens_U)


class Planner:
    """Lets an aggregation weigh tokens, filters drop some from the policy gradient, and penalties choose theirs.

    Raises:
        ConfigError: an entry is no filter or penalty, two of them or of their views have one name, a name is taken, a
            filter reads what is made only after filters have acted, or no part brings a view that one reads.
    """

    def __init__(
        self, *, aggregation: Aggregation, filters: Mapping[str, TokenFilter], penalties: Mapping[str, Penalty]
    ) -> None:
        self._aggregation = aggregation
        _check_parts("filters", filters, TokenFilter)
        _check_parts("penalties", penalties, Penalty)
        self._filters, self.penalties = dict(filters.items()), dict(penalties.items())
        _check_names(self._filters, self.penalties)
        for name, part in self._filters.items():
            if any(signal.tokens == "selected" for signal in part.signals):
                raise ConfigError(f"filters.{name} reads a signal at selected tokens; filters act before any are")
        parts: dict[str, TokenFilter | Penalty] = {
            **{f"filters.{name}": part for name, part in self._filters.items()},
            **{f"penalties.{name}": part for name, part in self.penalties.items()},
        }
        self.signals = frozenset(signal for part in parts.values() for signal in part.signals)
        self.views = _views_of(parts)
        self._kept = {
            group: {name: part for name, part in of_group.items() if isinstance(part, KeepsState)}
            for group, of_group in (("filters", self._filters), ("penalties", self.penalties))
        }
        self.needs = {name: part.needs for name, part in parts.items()}

    def state_dict(self) -> dict[str, Any]:
        """The states of filters and penalties that have one, by group and name."""
        return {group: states_of(parts, group=group) for group, parts in self._kept.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            ConfigError: other filters or penalties have a state there.
        """
        for group, parts in self._kept.items():
            take_up(parts, state.get(group, {}), group=group)  # checkpoints of 0.1.0 have none

    def plan(
        self, table: TokenTable, micro_batches: Sequence[MicroBatch], *, step: int, mini_batch: int, reducer: Reducer
    ) -> MiniBatch:
        """Plan one optimizer step. Every process must call it, each with its own part.

        Raises:
            ConfigError: a filter or penalty returns something else than a number, or a truth, for each token.
        """
        # draws and ties go by the order of tokens: it must not be that of packing, which sees this process alone
        tokens_M = torch.cat([micro.tokens_U for micro in micro_batches]).sort().values
        trajectory_M = table.trajectory_T[tokens_M]
        counts = reducer.sum(torch.tensor([len(trajectory_M.unique()), len(tokens_M)], dtype=torch.float64))
        weights_M = self._aggregation(trajectory_M, n_trajectories=int(counts[0]), n_tokens=int(counts[1]))
        batch = table.batch_of(tokens_M, weights_M)
        keep_M, advantages_M = torch.ones_like(tokens_M, dtype=torch.bool), batch.advantages_M
        plans: dict[str, PenaltyPlan] = {}
        figures: dict[str, float] = {}
        for name, part in self._filters.items():
            mask_M, found = part.keep(batch, step=step, mini_batch=mini_batch, reducer=reducer)
            keep_M &= _checked(f"filters.{name}: the mask", mask_M, tokens_M, truths=True)
            factors_M = part.advantage_factors(batch, reducer=reducer)
            advantages_M = advantages_M * _checked(f"filters.{name}: advantage_factors", factors_M, tokens_M)
            figures |= {f"{name}/{key}": value for key, value in found.items()}
        for name, penalty in self.penalties.items():
            plans[name] = penalty.plan(batch, step=step, mini_batch=mini_batch, reducer=reducer)
            _checked(f"penalties.{name}: coefficient_M", plans[name].coefficient_M, tokens_M)
            figures |= {f"{name}/{key}": value for key, value in plans[name].figures.items()}
        return MiniBatch(tuple(micro_batches), tokens_M, batch, keep_M, advantages_M, plans, figures)

    def read_at_selected(self, table: TokenTable, parts: Sequence[MiniBatch]) -> dict[Signal, Tensor]:
        """The signals that penalties read at the tokens they selected, each with the mask (T,) of those tokens."""
        wanted: dict[Signal, Tensor] = {}
        for name, penalty in self.penalties.items():
            for signal in sorted(penalty.signals, key=lambda signal: signal.name):
                if signal.tokens == "all" or (signal.name in table.signals and not signal.distributions):
                    continue
                mask_T = wanted.setdefault(signal, torch.zeros_like(table.trajectory_T, dtype=torch.bool))
                for part in parts:
                    mask_T[part.tokens_M[part.plans[name].selected_M]] = True
        return wanted


def mean_figures(parts: Sequence[MiniBatch]) -> dict[str, float]:
    """Figures of the choices, means over the mini-batches that have each."""
    found: dict[str, list[float]] = {}
    for part in parts:
        for name, value in part.figures.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _check_parts(group: str, parts: Mapping[str, object], kind: type) -> None:
    for name, part in parts.items():
        if not isinstance(part, kind):
            raise ConfigError(f"{group}.{name} is no {kind.__name__}; give it a _target_ that makes one, or remove it")


def _check_names(filters: Mapping[str, TokenFilter], penalties: Mapping[str, Penalty]) -> None:
    for name in (*filters, *penalties):
        if name in LOGGED or (name in filters and name in penalties):
            group = "filters" if name in filters else "penalties"
            raise ConfigError(f"{group}.{name}: figures are logged as {name}/... already; rename it")


def _views_of(parts: Mapping[str, TokenFilter | Penalty]) -> dict[str, View]:
    """The views of all parts by name: each one that a part reads, and none that two of them mean differently."""
    brought: dict[str, str] = {}
    for name, part in parts.items():
        for view in part.views:
            other = brought.setdefault(view, name)
            if _settings(part.views[view]) != _settings(parts[other].views[view]):
                raise ConfigError(f"{name} and {other} both have a view {view!r}; rename one's")
    for name, part in parts.items():
        for view in sorted({signal.view for signal in part.signals} - {SHOWN, *brought}):
            raise ConfigError(f"{name} reads the view {view!r}, which nothing brings; give it in its views")
    return {view: parts[name].views[view] for view, name in brought.items()}


def _settings(view: View) -> tuple[type, Mapping[str, object]]:
    return type(view), vars(view)


def _checked(what: str, found: Tensor, tokens_M: Tensor, *, truths: bool = False) -> Tensor:
    wrong = unlike(found, shape=tokens_M.shape, dtype=torch.bool if truths else None)
    if wrong is not None:
        expected = f"it must be a tensor of {'bool' if truths else 'numbers'}, shape ({len(tokens_M)},)"
        raise ConfigError(f"{what} came as {wrong}; {expected}")
    return found

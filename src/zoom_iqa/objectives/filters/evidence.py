"""Evidence Gradient Filtering: of the tokens written after a look, those learn that depend on what it showed.

After the abstract of Q-DeepSight (arXiv 2604.16858), which names it, and after VPPO's token filtering (arXiv
2510.09285); only the abstract is public, so that the mechanics are ours. A token's dependency is e^d - d - 1, with
d = log p(token | evidence hidden) - log p(token | evidence) under the policy that sampled: one more pass, without
gradient.

Legend: M tokens of one optimizer step on this process, N trajectories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_fraction, require_one_of, require_positive, require_share
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.signals import OLD, Signal
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import BlankImage, CoarseCrop, HidesEvidence, NoCrop, hidden_mark
from zoom_iqa.parallel.reducer import Reducer

Hidden = Literal["coarse_crop", "no_crop", "blank_image"]
"""How evidence is hidden: crops as coarse as the first view, crops grey, or all images grey."""

VIEWS: dict[Hidden, HidesEvidence] = {"coarse_crop": CoarseCrop(), "no_crop": NoCrop(), "blank_image": BlankImage()}


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """Bounds of a trajectory's mean dependency as a multiple of that of all.

    Bounded, it is divided by its mean over trajectories and then scales the advantage: so the factors have the mean 1,
    and where the bounds cut much they may lie outside them.

    Raises:
        ConfigError: they do not hold 1 between them.
    """

    least: float
    most: float

    def __post_init__(self) -> None:
        require_share("filters.evidence.shaping.least", self.least)
        if not self.most >= 1:
            raise ConfigError(f"filters.evidence.shaping.most={self.most} must be 1 or more")


class EvidenceFilter(TokenFilter):
    """Keeps the ``top`` share of each response's tokens by dependency, of those written after hidden evidence.

    Tokens written before it, such as those that decide where to look, depend on none and are all kept. ``most_nats``
    bounds |d|. With ``shaping`` a trajectory's advantage is scaled by its mean dependency over the mean of all, so that
    the factors have the mean 1; trajectories without evidence keep theirs.

    Raises:
        ConfigError: a value is out of range, or there is no such view.
    """

    def __init__(self, *, view: Hidden, top: float, most_nats: float, shaping: Shaping | None) -> None:
        require_positive("filters.evidence.most_nats", most_nats)
        require_one_of("filters.evidence.view", view, get_args(Hidden))
        require_fraction("filters.evidence.top", top)
        self._view, self._top, self._most_nats, self._shaping = view, top, most_nats, shaping
        self.views = {view: VIEWS[view]}
        self.needs = VIEWS[view].needs
        self._signal = Signal("policy", view=view)
        self.signals = frozenset({self._signal})

    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Keep the most dependent tokens of each trajectory, and all that no evidence comes before."""
        after_M, dependency_M = tokens.mark(hidden_mark(self._view)), self.dependency(tokens)
        chosen_M = top_of_each(dependency_M, tokens.trajectory_M, among_M=after_M, share=self._top)
        keep_M = chosen_M | ~after_M
        dropped_M = after_M & ~chosen_M
        sums = reducer.sum(
            torch.tensor(
                [
                    [float(mask_M.sum()), float(dependency_M[mask_M].sum())]
                    for mask_M in (chosen_M, dropped_M, ~after_M)
                ],
                dtype=torch.float64,
            )
        )
        (chosen, of_chosen), (dropped, of_dropped), (before, _) = sums.tolist()
        figures = {"kept": chosen + before, "dropped": dropped}
        if chosen:
            figures["dependency_kept"] = of_chosen / chosen
        if dropped:
            figures["dependency_dropped"] = of_dropped / dropped
        return keep_M, figures

    def dependency(self, tokens: TokenBatch) -> Tensor:
        """e^d - d - 1 of each token (M,) in float64, 0 where hiding changes nothing.

        Most tokens hang on no crop, and their d is small: in float32 the sum loses a d below 3e-4 altogether.
        """
        d_M = tokens.signal(self._signal.name).double() - tokens.signal(OLD.name).double()
        d_M = d_M.clamp(-self._most_nats, self._most_nats)
        return d_M.expm1() - d_M

    def advantage_factors(self, tokens: TokenBatch, *, reducer: Reducer) -> Tensor:
        """1, or with shaping the factor of each token's trajectory, shape (M,)."""
        factors_M = torch.ones_like(tokens.weights_M)
        if self._shaping is None:
            return factors_M
        after_M = tokens.mark(hidden_mark(self._view))
        numbers_N, means_N = trajectory_means(self.dependency(tokens)[after_M], tokens.trajectory_M[after_M])
        total = reducer.sum(torch.tensor([means_N.sum(), float(len(means_N))], dtype=torch.float64))
        if not total[0] > 0:
            return factors_M
        raw_N = (means_N * total[1] / total[0]).clamp(self._shaping.least, self._shaping.most)
        raw_total = reducer.sum(raw_N.sum()[None])
        scaled_N = (raw_N * total[1] / raw_total[0]).to(factors_M.dtype)
        if len(numbers_N) == 0:
            return factors_M
        place_M = torch.searchsorted(numbers_N, tokens.trajectory_M).clamp(max=len(numbers_N) - 1)
        has_M = numbers_N[place_M] == tokens.trajectory_M
        return torch.where(has_M, scaled_N[place_M], factors_M)


def trajectory_means(value_M: Tensor, trajectory_M: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of the trajectories that have values, ascending, and the mean of each's in float64, both (N,)."""
    numbers_N, place_M = trajectory_M.unique(return_inverse=True)
    sums_N = torch.zeros(len(numbers_N), dtype=torch.float64).index_add_(0, place_M, value_M)
    return numbers_N, sums_N / torch.bincount(place_M, minlength=len(numbers_N))


def top_of_each(value_M: Tensor, group_M: Tensor, *, among_M: Tensor, share: float) -> Tensor:
    """The mask (M,) of the ``share`` of highest values of each group, rounded up; of equal ones the earlier."""
    places = among_M.nonzero()[:, 0]
    order = value_M[places].argsort(descending=True, stable=True)
    order = order[group_M[places][order].argsort(stable=True)]
    _, counts = group_M[places][order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(order)) - starts.repeat_interleave(counts)
    allowed = (counts.double() * share - 1e-9).ceil().long().repeat_interleave(counts)
    chosen_M = torch.zeros_like(among_M)
    chosen_M[places[order[rank < allowed]]] = True
    return chosen_M

"""The input of reward terms: the records of a step's responses, and the same in numbers.

Shapes: B images of this process, G responses each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from zoom_iqa.base.records import Record, record_of
from zoom_iqa.base.types import RolloutGroup
from zoom_iqa.objectives.rewards.formulas import GroupStatistics, group_statistics
from zoom_iqa.parallel.reducer import Reducer


@dataclass(frozen=True, eq=False)
class RewardInputs:
    """The input of reward terms: G records of each of this process's B examples, and the same in numbers.

    Give all examples of one optimizer step at once, accumulation steps included: they are ranked together. Numbers
    are worked out where a term asks for them; every process must ask in the same order, as terms do.

    Raises:
        ValueError: no records, or examples with different numbers of them.
    """

    records: tuple[tuple[Record, ...], ...]
    reducer: Reducer

    def __post_init__(self) -> None:
        sizes = sorted({len(group) for group in self.records})
        if len(sizes) != 1 or sizes[0] == 0:
            raise ValueError(
                f"rewards need groups of one size of at least 1; got {len(self.records)} groups, sizes {sizes}"
            )

    @staticmethod
    def from_groups(groups: Sequence[RolloutGroup], *, reducer: Reducer) -> RewardInputs:
        """The records of rollouts."""
        return RewardInputs(tuple(tuple(map(record_of, group.rollouts)) for group in groups), reducer)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, G)."""
        return len(self.records), len(self.records[0])

    @cached_property
    def ratings_BG(self) -> torch.Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """Ratings on 1-5, NaN where an answer holds none."""
        ratings = [[math.nan if one.rating is None else one.rating for one in group] for group in self.records]
        return torch.tensor(ratings, dtype=torch.float64)

    @cached_property
    def well_formed_BG(self) -> torch.Tensor:  # noqa: N802
        """Whether every step of the response met its format."""
        return torch.tensor([[one.well_formed for one in group] for group in self.records])

    @cached_property
    def mos_B(self) -> torch.Tensor:  # noqa: N802
        """Mean opinion scores on 1-5.

        Raises:
            DataError: an example has none.
        """
        return torch.tensor([group[0].example.mos for group in self.records], dtype=torch.float64)

    @property
    def statistics(self) -> GroupStatistics:
        """Statistics of each image of all processes that a pair is compared by; every process must ask for them."""
        return self._gathered[0]

    @property
    def own_offset(self) -> int:
        """The row of ``statistics`` at which this process's images start."""
        return self._gathered[1]

    @property
    def _gathered(self) -> tuple[GroupStatistics, int]:
        """Gathered once; not by cached_property, whose lock is shared by all objects and would block a collective."""
        if "gathered" not in self.__dict__:
            self.__dict__["gathered"] = self._gather()
        gathered: tuple[GroupStatistics, int] = self.__dict__["gathered"]
        return gathered

    def _gather(self) -> tuple[GroupStatistics, int]:
        stds = [group[0].example.mos_std for group in self.records]
        stds_B = torch.tensor([math.nan if std is None else std for std in stds], dtype=torch.float64)
        local = group_statistics(self.ratings_BG, self.mos_B, stds_B)
        rows = torch.stack((local.mean_N, local.var_N, local.mos_N, local.mos_std_N), dim=1)
        columns, offset = self.reducer.gather(rows)
        mean_N, var_N, mos_N, mos_std_N = columns.unbind(1)
        return GroupStatistics(mean_N=mean_N, var_N=var_N, mos_N=mos_N, mos_std_N=mos_std_N), offset

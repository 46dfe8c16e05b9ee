"""Training keeps its best and worst rollouts, with the rewards they were trained with, and never more than asked."""

from __future__ import annotations

import pytest
import torch

from support.made_rollouts import group
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.rewards.rubric import Rewards
from zoom_iqa.rollout.recorder import RolloutRecorder

GROUPS = [group("a", 2.0, [1.0, 2.0, 3.0]), group("b", 4.0, [4.0, 5.0, 2.5])]
TOTAL = torch.tensor([[0.5, 3.0, 1.0], [2.0, 0.25, 2.0]])
REWARDS = Rewards(total_BG=TOTAL, terms={"score": TOTAL / 2}, weights={"score": 2.0})


def kept(keep: int, *, step: int = 0, every: int = 1) -> list[tuple[str, int, float]]:
    records = RolloutRecorder(every=every, keep=keep).pick(GROUPS, REWARDS, step=step)
    assert all(record.step == step for record in records)
    assert all(record.rewards["score"] == record.rewards["total"] / 2 for record in records)
    return [(record.example.id, record.sample, record.rewards["total"]) for record in records]


def test_the_best_and_the_worst_are_kept_best_first() -> None:
    assert kept(1) == [("a", 1, 3.0), ("b", 1, 0.25)]
    assert kept(2) == [("a", 1, 3.0), ("b", 0, 2.0), ("a", 0, 0.5), ("b", 1, 0.25)]


def test_no_rollout_is_kept_twice() -> None:
    assert len(kept(5)) == len(set(kept(5))) == 6


def test_only_every_so_many_steps() -> None:
    assert [bool(kept(1, step=step, every=3)) for step in range(7)] == [True, False, False, True, False, False, True]


@pytest.mark.parametrize(("every", "keep"), [(0, 1), (1, 0)])
def test_numbers_below_one_are_refused(every: int, keep: int) -> None:
    with pytest.raises(ConfigError, match=r"recorder\.(every|keep)=0 must be a whole number of at least 1"):
        RolloutRecorder(every=every, keep=keep)

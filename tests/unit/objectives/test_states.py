"""States of reward terms, penalties and filters: a checkpoint keeps plain values, which it can be loaded with."""

from __future__ import annotations

import collections
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.states import states_of


class Keeps:
    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def state_dict(self) -> dict[str, Any]:
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


PLAIN = {"mean": 0.5, "count": 3, "names": ["a", None, True], "by": {("a", 1): b"x"}, "sums": torch.ones(2)}


def test_plain_states_are_those_that_torch_loads(tmp_path: Path) -> None:
    torch.save(states_of({"mine": Keeps(PLAIN)}, group="reward"), tmp_path / "s.ckpt")
    loaded = torch.load(tmp_path / "s.ckpt", weights_only=True)
    assert loaded["mine"]["by"] == PLAIN["by"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"mean": np.float64(0.5)}, "reward.mine: its state['mean'] is a numpy.float64; give numbers"),
        ({"last": {"seen": collections.deque([1])}}, "its state['last']['seen'] is a collections.deque"),
        ({"by": {np.int64(1): 2}}, "a key of reward.mine: its state['by'] is a numpy.int64"),
        ({"rows": [1, np.ones(2)]}, "its state['rows'][1] is a numpy.ndarray"),
    ],
)
def test_others_are_refused_by_name_before_they_are_saved(state: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        states_of({"mine": Keeps(state)}, group="reward")

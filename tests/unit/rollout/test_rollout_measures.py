"""What is watched in rollouts, counted by hand."""

from __future__ import annotations

import pytest

from support.made_rollouts import group
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.objectives.measures import to_floats
from zoom_iqa.rollout.measures import rollout_measures


def test_ratings_off_the_scale_are_a_share_of_the_readable_ones() -> None:
    groups = [group("a", 3.0, [5.5, 5.0, ParseFailure("bad_rating", "")]), group("b", 2.0, [0.0, 2.0, 3.0])]
    measures = to_floats(rollout_measures(groups))
    assert measures["rollout/clipped_rating_rate"] == pytest.approx(2 / 5)
    assert measures["rollout/valid_rate"] == pytest.approx(5 / 6)
    assert measures["rollout/failed_bad_rating"] == pytest.approx(1 / 6)
    assert measures["rollout/rating"] == pytest.approx((5 + 5 + 1 + 2 + 3) / 5)
    assert measures["rollout/distinct_ratings_per_image"] == pytest.approx(4 / 2)

import math

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.schedules import (
    Constant,
    Cosine,
    Linear,
    Schedule,
    Stepwise,
    WarmupCosine,
    as_schedule,
    not_negative,
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(value=2.0), {0: 2.0, 7: 2.0}),
        (Linear(start=1.0, end=0.0, steps=4), {0: 1.0, 1: 0.75, 4: 0.0, 9: 0.0}),
        (Cosine(start=1.0, end=0.0, steps=4), {0: 1.0, 1: 0.8535534, 2: 0.5, 4: 0.0, 9: 0.0}),
        (  # two rungs up; then 0.1 + 0.9 (1 + cos(pi k / 8)) / 2 for k of 0 to 8
            WarmupCosine(warmup=0.2, steps=10, floor=0.1),
            {0: 1 / 3, 1: 2 / 3, 2: 1.0, 3: 0.9657458, 4: 0.8681981, 6: 0.55, 9: 0.1342542, 10: 0.1, 11: 0.1},
        ),
        (Stepwise(values=[1.0, 0.5, 0.1], boundaries=[3, 6]), {0: 1.0, 2: 1.0, 3: 0.5, 5: 0.5, 6: 0.1, 60: 0.1}),
    ],
)
def test_values(schedule, expected):
    assert {step: schedule.value(step) for step in expected} == pytest.approx(expected)
    assert isinstance(schedule, Schedule)


def test_a_number_is_a_constant_schedule():
    assert as_schedule("w", 3).value(10) == 3.0
    linear = Linear(start=0.0, end=1.0, steps=2)
    assert as_schedule("w", linear) is linear


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "2", None, True])
def test_not_a_number_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"reward\.rank\.weight="):
        as_schedule("reward.rank.weight", value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(start=0.0, end=1.0, steps=0),
        lambda: WarmupCosine(warmup=-0.1, steps=5, floor=0.0),
        lambda: WarmupCosine(warmup=1.0, steps=5, floor=0.0),
        lambda: WarmupCosine(warmup=math.nan, steps=5, floor=0.0),
        lambda: WarmupCosine(warmup=0.1, steps=5, floor=-0.1),
        lambda: WarmupCosine(warmup=0.1, steps=5, floor=1.1),
        lambda: WarmupCosine(warmup=0.1, steps=5, floor=math.nan),
        lambda: Cosine(start=0.0, end=1.0, steps=2.5),
        lambda: Stepwise(values=[1.0], boundaries=[3]),
        lambda: Stepwise(values=[1.0, 2.0, 3.0], boundaries=[3, 3]),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


class Own:
    """Somebody's own schedule, which says nothing of how low it gets."""

    def value(self, step):
        return -1.0 if step == 0 else 1.0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.5, r"w=-0\.5 must be 0 or more"),
        (math.nan, "w=nan is neither"),
        (Constant(value=-2.0), r"w=-2\.0 must be 0 or more"),
        (Linear(start=1.0, end=-1.0, steps=3), r"w gets down to -1\.0; it must be 0 or more"),
        (Cosine(start=-1.0, end=1.0, steps=3), r"down to -1\.0"),
        (Stepwise(values=[1.0, -0.5, 1.0], boundaries=[3, 6]), r"down to -0\.5"),
        (Own(), r"down to -1\.0"),
    ],
)
def test_a_coefficient_below_0_at_any_step_is_refused(value, said):
    with pytest.raises(ConfigError, match=said):
        not_negative("w", value)


@pytest.mark.parametrize(
    "value", [0, 2.0, Linear(start=0.0, end=1.0, steps=3), WarmupCosine(warmup=0, steps=3, floor=0)]
)
def test_a_coefficient_from_0_on_is_taken(value):
    assert not_negative("w", value).value(0) == as_schedule("w", value).value(0)

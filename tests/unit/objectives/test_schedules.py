import pytest

from zoom_iqa.errors import ConfigError
from zoom_iqa.objectives.schedules import Constant, Cosine, Linear, Schedule, Stepwise, as_schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(value=2.0), {0: 2.0, 7: 2.0}),
        (Linear(start=1.0, end=0.0, steps=4), {0: 1.0, 1: 0.75, 4: 0.0, 9: 0.0}),
        (Cosine(start=1.0, end=0.0, steps=4), {0: 1.0, 1: 0.8535534, 2: 0.5, 4: 0.0, 9: 0.0}),
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
        lambda: Cosine(start=0.0, end=1.0, steps=2.5),
        lambda: Stepwise(values=[1.0], boundaries=[3]),
        lambda: Stepwise(values=[1.0, 2.0, 3.0], boundaries=[3, 3]),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()

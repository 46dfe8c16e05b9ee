"""A metric's value passes as it is; its absence is told in the way that the caller asks for."""

import pytest

from zoom_iqa.base.errors import DataError, UndefinedMetricError
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.undefined import (
    Undefined,
    mean_or_reason,
    value_or_error,
    value_or_none,
    value_or_reason,
    value_or_sentence,
    value_or_undefined,
)

RISING = [1.0, 2.0, 3.0]
WAYS = (value_or_error, value_or_undefined, value_or_reason, value_or_sentence, value_or_none)


@pytest.mark.parametrize("way", WAYS)
def test_a_value_passes_as_it_is(way):
    assert way(srcc, RISING, mos=RISING) == 1.0


@pytest.mark.parametrize("way", WAYS)
def test_other_errors_pass(way):
    with pytest.raises(DataError, match="finite"):
        way(srcc, [1.0, 2.0, float("nan")], RISING)


def test_each_way_tells_the_reason():
    flat = [2.0, 2.0, 2.0]
    assert isinstance(value_or_error(srcc, flat, RISING), UndefinedMetricError)
    assert value_or_undefined(srcc, flat, RISING) == Undefined("all predictions are equal")
    assert value_or_reason(srcc, flat, RISING) == "undefined (all predictions are equal)"
    assert value_or_sentence(srcc, flat, RISING) == "srcc is undefined: all predictions are equal"
    assert value_or_none(srcc, flat, RISING) is None


def test_a_mean_of_nothing_says_why():
    assert mean_or_reason([True, False], "no answer can be read") == 0.5
    assert mean_or_reason([], "no answer can be read") == "undefined (no answer can be read)"

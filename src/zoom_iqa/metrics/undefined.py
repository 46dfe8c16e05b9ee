"""A metric's value, or why there is none: metrics raise, and those who write figures down keep the reason in its place.

A reason is written as ``undefined (all predictions are equal)``, so that no file holds NaN and no reader has to guess.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from zoom_iqa.base.errors import UndefinedMetricError

Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Undefined:
    """A metric without a value, and why; printed and stored as text, never as NaN."""

    reason: str

    def __str__(self) -> str:
        return f"undefined ({self.reason})"


Value = float | Undefined


def value_or_error(
    metric: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs
) -> Found | UndefinedMetricError:
    """What the metric returns, or the error that it raises where it has no value; any other error passes."""
    try:
        return metric(*args, **kwargs)
    except UndefinedMetricError as error:
        return error


def value_or_undefined(
    metric: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs
) -> Found | Undefined:
    """What the metric returns, or why it has no value."""
    found = value_or_error(metric, *args, **kwargs)
    return Undefined(found.reason) if isinstance(found, UndefinedMetricError) else found


def value_or_reason(metric: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs) -> Found | str:
    """The same as JSON holds it: the reason is the text ``undefined (reason)``."""
    found = value_or_undefined(metric, *args, **kwargs)
    return str(found) if isinstance(found, Undefined) else found


def value_or_sentence(metric: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs) -> Found | str:
    """The same for lists of several metrics: the sentence ``srcc is undefined: reason`` names the one it is about."""
    found = value_or_error(metric, *args, **kwargs)
    return str(found) if isinstance(found, UndefinedMetricError) else found


def value_or_none(metric: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs) -> Found | None:
    """What the metric returns, or None where it has no value and nobody asks why."""
    found = value_or_error(metric, *args, **kwargs)
    return None if isinstance(found, UndefinedMetricError) else found


def mean_or_reason(values: Sequence[float], why_not: str) -> float | str:
    """The mean, or the text ``undefined (why_not)`` where there are no values."""
    return statistics.fmean(values) if values else str(Undefined(why_not))

"""Schedules: a coefficient as a function of the training step. Wherever a weight is asked for, either will do."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from zoom_iqa.errors import ConfigError


@runtime_checkable
class Schedule(Protocol):
    """A number that depends on the step (0 is the first)."""

    def value(self, step: int) -> float:
        """Return the number at this step."""
        ...


class Constant:
    """The same value at every step."""

    def __init__(self, *, value: float) -> None:
        self._value = _finite("value", value)

    def value(self, step: int) -> float:
        """Return the value, whatever the step."""
        return self._value


class Linear:
    """From ``start`` at step 0 to ``end`` at step ``steps`` in a straight line; ``end`` from there on."""

    def __init__(self, *, start: float, end: float, steps: int) -> None:
        self._start, self._end, self._steps = _finite("start", start), _finite("end", end), _positive("steps", steps)

    def value(self, step: int) -> float:
        """Return the interpolated value."""
        return self._start + (self._end - self._start) * min(step / self._steps, 1.0)


class Cosine:
    """From ``start`` at step 0 to ``end`` at step ``steps`` along half a cosine; ``end`` from there on."""

    def __init__(self, *, start: float, end: float, steps: int) -> None:
        self._start, self._end, self._steps = _finite("start", start), _finite("end", end), _positive("steps", steps)

    def value(self, step: int) -> float:
        """Return the interpolated value."""
        progress = min(step / self._steps, 1.0)
        return self._end + (self._start - self._end) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Stepwise:
    """``values[i]`` from step ``boundaries[i-1]`` on; one value more than there are boundaries."""

    def __init__(self, *, values: Sequence[float], boundaries: Sequence[int]) -> None:
        if len(values) != len(boundaries) + 1:
            raise ConfigError(
                f"a stepwise schedule has {len(values)} values and {len(boundaries)} boundaries; "
                "give one value more than boundaries"
            )
        if any(a >= b for a, b in zip(boundaries, list(boundaries)[1:], strict=False)):
            raise ConfigError(f"boundaries={list(boundaries)} must increase")
        self._values = [_finite("values", v) for v in values]
        self._boundaries = list(boundaries)

    def value(self, step: int) -> float:
        """Return the value of the interval that holds the step."""
        return self._values[bisect_right(self._boundaries, step)]


def as_schedule(name: str, value: float | Schedule) -> Schedule:
    """Accept a number or a schedule under the config key ``name``.

    Raises:
        ConfigError: it is neither, or the number is not finite.
    """
    if isinstance(value, Schedule):
        return value
    return Constant(value=_finite(name, value))


def _finite(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}={value!r} is neither a finite number nor a schedule")
    return float(value)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}={value!r} must be a whole number of at least 1")
    return value

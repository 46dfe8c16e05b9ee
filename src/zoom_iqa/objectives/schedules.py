"""Schedules: a coefficient as a function of the training step. Wherever a weight is asked for, either will do."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_whole


@runtime_checkable
class Schedule(Protocol):
    """A number that depends on the step (0 is the first)."""

    def value(self, step: int) -> float:
        """Return the number at this step."""
        ...


class Constant:
    """The same value at every step."""

    def __init__(self, *, value: float) -> None:
        self._value = self.lowest = _finite("value", value)

    def value(self, step: int) -> float:
        """Return the value, whatever the step."""
        return self._value


class Linear:
    """From ``start`` at step 0 to ``end`` at step ``steps`` in a straight line; ``end`` from there on."""

    def __init__(self, *, start: float, end: float, steps: int) -> None:
        self._start, self._end, self._steps = _finite("start", start), _finite("end", end), _positive("steps", steps)
        self.lowest = min(self._start, self._end)

    def value(self, step: int) -> float:
        """Return the interpolated value."""
        return self._start + (self._end - self._start) * min(step / self._steps, 1.0)


class Cosine:
    """From ``start`` at step 0 to ``end`` at step ``steps`` along half a cosine; ``end`` from there on."""

    def __init__(self, *, start: float, end: float, steps: int) -> None:
        self._start, self._end, self._steps = _finite("start", start), _finite("end", end), _positive("steps", steps)
        self.lowest = min(self._start, self._end)

    def value(self, step: int) -> float:
        """Return the interpolated value."""
        progress = min(step / self._steps, 1.0)
        return self._end + (self._start - self._end) * 0.5 * (1.0 + math.cos(math.pi * progress))


class WarmupCosine:
    """Up from 0 to 1 in a line over the first ``warmup`` share of ``steps``, then half a cosine down to ``floor``.

    A factor for a learning rate; step 0 already has the first rung of the warm-up, so no optimizer step is wasted.
    """

    def __init__(self, *, warmup: float, steps: int, floor: float) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(f"warmup={warmup} must be a share of the steps, at least 0 and below 1")
        if not 0 <= floor <= 1:
            raise ConfigError(f"floor={floor} must be a share of the full rate, from 0 to 1")
        self._steps = _positive("steps", steps)
        self._rungs = round(warmup * steps)
        self._fall = Cosine(start=1.0, end=floor, steps=max(1, steps - self._rungs))

    def value(self, step: int) -> float:
        """Return the factor."""
        if step < self._rungs:
            return (step + 1) / (self._rungs + 1)
        return self._fall.value(step - self._rungs)


class Stepwise:
    """``values[i]`` from step ``boundaries[i-1]`` on; one value more than there are boundaries."""

    def __init__(self, *, values: Sequence[float], boundaries: Sequence[int]) -> None:
        if len(values) != len(boundaries) + 1:
            raise ConfigError(
                f"a stepwise schedule has {len(values)} values and {len(boundaries)} boundaries; "
                "give one value more than boundaries"
            )
        if any(a >= b for a, b in pairwise(boundaries)):
            raise ConfigError(f"boundaries={list(boundaries)} must increase")
        self._values = [_finite("values", v) for v in values]
        self.lowest = min(self._values)
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


def not_negative(name: str, value: float | Schedule) -> Schedule:
    """As ``as_schedule``, for a coefficient that turns its term around where it is below 0.

    A schedule that does not say how low it gets is asked for its first value alone.

    Raises:
        ConfigError: it is neither, or gets below 0.
    """
    schedule = as_schedule(name, value)
    lowest = getattr(schedule, "lowest", schedule.value(0))
    if not lowest >= 0:
        what = f"{name}={lowest}" if isinstance(schedule, Constant) else f"{name} gets down to {lowest}; it"
        raise ConfigError(f"{what} must be 0 or more")
    return schedule


def _finite(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}={value!r} is neither a finite number nor a schedule")
    return float(value)


def _positive(name: str, value: int) -> int:
    require_whole(name, value, least=1)
    return value

"""From a benchmark's native scores to the common 1-5 scale on which 5 is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoom_iqa.base.errors import ConfigError

ROUNDING = 1e-9
USUAL_RANGES = ((0, 1), (1, 5), (0, 5), (0, 10), (0, 100))


@dataclass(frozen=True, kw_only=True)
class LinearScale:
    """A straight line through two declared points: native score ``one`` becomes 1, ``five`` becomes 5, clipped to 1-5.

    ``native_range`` (lowest, highest) bounds what the publisher's scale allows: a score outside it is an error in the
    labels. ``direction`` is stated and not derived, so that a swapped pair is caught. A point that is None is an end of
    the range, as for labels of one's own.

    Raises:
        ConfigError: direction and points contradict each other, or a point lies outside the range.
    """

    direction: Literal["higher_is_better", "lower_is_better"]
    native_range: Sequence[float]
    one: float | None
    five: float | None

    def __post_init__(self) -> None:
        if self.direction not in ("higher_is_better", "lower_is_better"):
            raise ConfigError(f"scale.direction is {self.direction!r}: use higher_is_better or lower_is_better")
        ends = list(self.native_range)
        if len(ends) != 2 or not all(map(math.isfinite, ends)) or not ends[0] < ends[1]:
            raise ConfigError(f"scale.native_range is {list(self.native_range)}: give [lowest, highest]")
        one, five = self.points
        if one == five or (one < five) != (self.direction == "higher_is_better"):
            raise ConfigError(f"scale: one={one} and five={five} contradict direction={self.direction}")
        for name, value in (("one", one), ("five", five)):
            if not self.contains(value):
                raise ConfigError(f"scale.{name} is {value}, outside native_range {list(self.native_range)}")

    @property
    def points(self) -> tuple[float, float]:
        """The native scores that become 1 and 5."""
        worst, best = self.native_range if self.direction == "higher_is_better" else self.native_range[::-1]
        return worst if self.one is None else self.one, best if self.five is None else self.five

    def remedy(self, scores: Sequence[float]) -> str:
        """The remedy for scores of which some are outside the range."""
        if self.one is not None or self.five is not None:
            return "correct or remove them"
        low, high = min(scores), max(scores)
        fitting = [span for span in USUAL_RANGES if span[0] <= low and high <= span[1]]
        floor = math.floor(low)
        usual = fitting[0] if fitting else (floor, max(math.ceil(high), floor + 1))
        return f"scores go from {low:g} to {high:g}: give their scale, such as range=[{usual[0]},{usual[1]}]"

    def contains(self, native: float) -> bool:
        """Whether a native score is possible on the publisher's scale."""
        return self.native_range[0] <= native <= self.native_range[1]

    def mos(self, native: float) -> float:
        """A native score on 1-5, 5 best."""
        return min(5.0, max(1.0, self._unclipped(native)))

    def clips(self, native: float) -> bool:
        """Whether a native score lies beyond the two points, by more than rounding."""
        return not 1.0 - ROUNDING <= self._unclipped(native) <= 5.0 + ROUNDING

    def _unclipped(self, native: float) -> float:
        one, five = self.points
        return 1.0 + 4.0 * (native - one) / (five - one)

    def std(self, native_std: float) -> float:
        """A native standard deviation in units of the 1-5 scale."""
        one, five = self.points
        return native_std * 4.0 / abs(five - one)

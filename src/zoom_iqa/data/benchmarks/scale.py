"""From a benchmark's native scores to the common 1-5 scale on which 5 is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoom_iqa.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LinearScale:
    """A straight line through two declared points: native score ``one`` becomes 1, ``five`` becomes 5, clipped to 1-5.

    ``native_range`` (lowest, highest) bounds what the publisher's scale allows: a score outside it is an error in the
    labels. ``direction`` is stated and not derived, so that a swapped pair is caught.

    Raises:
        ConfigError: direction and points contradict each other, or a point lies outside the range.
    """

    direction: Literal["higher_is_better", "lower_is_better"]
    native_range: Sequence[float]
    one: float
    five: float

    def __post_init__(self) -> None:
        if self.direction not in ("higher_is_better", "lower_is_better"):
            raise ConfigError(f"scale.direction is {self.direction!r}: use higher_is_better or lower_is_better")
        if len(self.native_range) != 2 or not self.native_range[0] < self.native_range[1]:
            raise ConfigError(f"scale.native_range is {list(self.native_range)}: give [lowest, highest]")
        if self.one == self.five or (self.one < self.five) != (self.direction == "higher_is_better"):
            raise ConfigError(f"scale: one={self.one} and five={self.five} contradict direction={self.direction}")
        for name, value in (("one", self.one), ("five", self.five)):
            if not self.contains(value):
                raise ConfigError(f"scale.{name} is {value}, outside native_range {list(self.native_range)}")

    def contains(self, native: float) -> bool:
        """Whether a native score is possible on the publisher's scale."""
        return self.native_range[0] <= native <= self.native_range[1]

    def mos(self, native: float) -> float:
        """A native score on 1-5, 5 best."""
        return min(5.0, max(1.0, 1.0 + 4.0 * (native - self.one) / (self.five - self.one)))

    def std(self, native_std: float) -> float:
        """A native standard deviation in units of the 1-5 scale."""
        return native_std * 4.0 / abs(self.five - self.one)

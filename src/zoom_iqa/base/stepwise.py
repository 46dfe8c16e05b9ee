"""Facts about a trajectory that follow from its steps, of a rollout and of its record alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoom_iqa.base.types import Look, Reading


class ReadStep(Protocol):
    """A step by what was read from its text and what its tool calls led to."""

    @property
    def reading(self) -> Reading:
        """All that was read."""
        ...

    @property
    def looks(self) -> tuple[Look, ...]:
        """One for each call."""
        ...


class Stepwise:
    """Base of what has ``steps``, at least one."""

    steps: Sequence[ReadStep]

    @property
    def clipped(self) -> bool:
        """Whether the rating that counts was written off the scale, so that it is one of its ends."""
        return self.steps[-1].reading.clipped

    @property
    def cropped(self) -> bool:
        """Whether the trajectory looked closer."""
        return any(look.box is not None for step in self.steps for look in step.looks)

    @property
    def well_formed(self) -> bool:
        """Whether every step met every requirement of its format."""
        return all(step.reading.well_formed for step in self.steps)

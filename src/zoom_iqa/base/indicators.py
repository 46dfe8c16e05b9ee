"""Properties of images that data sets publish beside scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Indicator:
    """A property of an image, as published; ``above`` is the share of the set's images whose value is lower."""

    name: str
    value: float
    above: float

"""Parts of a judgement: the evidence that an answer lists, and a rating before it is drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A defect that an answer rests on: ``bbox`` as written (fractions or pixels), its name, its severity in a word."""

    bbox: tuple[float, float, float, float]
    defect: str
    severity: str


@dataclass(frozen=True, kw_only=True)
class RatingDistribution:
    """A rating before it is drawn: mean and standard deviation on 1-5, and the probability that a digit begins it."""

    mean: float
    std: float
    mass: float

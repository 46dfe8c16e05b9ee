"""Quantities to log that merge exactly over micro-batches and processes: weighted means, peaks, distinct values.

Losses return them beside the loss. They hold detached tensors, so that logging costs one synchronisation a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from zoom_iqa.parallel.reducer import Reducer


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean kept as its sum and its weight, both 0-dimensional."""

    total: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, eq=False)
class Peak:
    """A maximum, 0-dimensional."""

    highest: torch.Tensor


@dataclass(frozen=True, eq=False)
class Distinct:
    """How many of D values occur, divided by a weight: ``counts_D`` and the weight, 0-dimensional."""

    counts_D: torch.Tensor
    weight: torch.Tensor


Measure = Mean | Peak | Distinct
Measures = dict[str, Measure]


def mean_of(values: torch.Tensor) -> Mean:
    """Mean over all elements, each of weight 1; an empty tensor has weight 0."""
    values = values.detach().double()
    return Mean(values.sum(), values.new_tensor(values.numel()))


def peak_of(values: torch.Tensor) -> Peak:
    """Largest element; minus infinity for an empty tensor."""
    values = values.detach().double()
    return Peak(values.max() if values.numel() else values.new_tensor(-torch.inf))


def merge(parts: Sequence[Mapping[str, Measure]]) -> Measures:
    """Combine the measures of several micro-batches; a name missing from some of them counts where it is.

    Raises:
        TypeError: a name is of one kind in one part and of another in another.
    """
    merged: Measures = {}
    for part in parts:
        for name, measure in part.items():
            merged[name] = _combine(name, merged[name], measure) if name in merged else measure
    return merged


def reduce_measures(measures: Mapping[str, Measure], *, reducer: Reducer) -> Measures:
    """Combine the measures of all processes. Every process must hold the same names."""
    names = sorted(measures)
    means = {name: m for name in names if isinstance(m := measures[name], Mean)}
    peaks = {name: m for name in names if isinstance(m := measures[name], Peak)}
    reduced: Measures = {}
    if means:
        sums = reducer.sum(torch.stack([torch.stack((m.total, m.weight)) for m in means.values()]))
        reduced |= {name: Mean(total, weight) for name, (total, weight) in zip(means, sums, strict=True)}
    if peaks:
        highest, _ = reducer.gather(torch.stack([p.highest for p in peaks.values()])[None])
        reduced |= {name: Peak(peak) for name, peak in zip(peaks, highest.amax(0), strict=True)}
    for name in names:
        if isinstance(distinct := measures[name], Distinct):
            reduced[name] = Distinct(reducer.sum(distinct.counts_D), reducer.sum(distinct.weight))
    return reduced


def to_floats(measures: Mapping[str, Measure]) -> dict[str, float]:
    """Plain numbers for a logger; a measure that saw nothing is left out rather than shown as NaN."""
    numbers: dict[str, float] = {}
    for name, measure in measures.items():
        if isinstance(measure, Mean) and measure.weight.item() != 0:
            numbers[name] = (measure.total / measure.weight).item()
        if isinstance(measure, Peak) and measure.highest.item() != -torch.inf:
            numbers[name] = measure.highest.item()
        if isinstance(measure, Distinct) and measure.weight.item() != 0:
            numbers[name] = ((measure.counts_D > 0).sum() / measure.weight).item()
    return numbers


def _combine(name: str, a: Measure, b: Measure) -> Measure:
    if isinstance(a, Mean) and isinstance(b, Mean):
        return Mean(a.total + b.total, a.weight + b.weight)
    if isinstance(a, Peak) and isinstance(b, Peak):
        return Peak(torch.maximum(a.highest, b.highest))
    if isinstance(a, Distinct) and isinstance(b, Distinct):
        return Distinct(a.counts_D + b.counts_D, a.weight + b.weight)
    raise TypeError(f"measure {name!r} is a {type(a).__name__} in one part and a {type(b).__name__} in another")

"""Who sees whom in a packed tree of token sequences, for all tokens and for those whose last state is wanted.

Legend: T packed tokens, W wanted ones, J key-value heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Run:
    """``count`` adjacent pieces of ``length`` tokens each; a token sees its own piece up to itself.

    They begin with row ``queries`` of those that attend, and are tokens ``keys`` and on of the packed sequence.
    """

    queries: int
    keys: int
    count: int
    length: int

    @property
    def rows(self) -> slice:
        """Its rows among those that attend."""
        return slice(self.queries, self.queries + self.count * self.length)

    @property
    def tokens(self) -> slice:
        """Its tokens in the packed sequence."""
        return slice(self.keys, self.keys + self.count * self.length)

    def joined(self, following: Run) -> Run | None:
        """Both as one run, where the pieces of ``following`` are as long and come next."""
        adjacent = (self.rows.stop, self.tokens.stop) == (following.queries, following.keys)
        if not adjacent or self.length != following.length:
            return None
        return replace(self, count=self.count + following.count)


@dataclass(frozen=True)
class CrossBlock:
    """All rows ``queries`` see all tokens ``keys``."""

    keys: slice
    queries: slice


@dataclass(frozen=True, eq=False)
class PastBlock:
    """All rows ``queries`` see all tokens of an earlier forward, given as keys and values (layers, 2, J, tokens, D)."""

    kv: Tensor
    queries: slice


@dataclass(frozen=True, eq=False)
class Pattern:
    """Who sees whom. ``past`` is for forwards without gradient."""

    runs: tuple[Run, ...]
    blocks: tuple[CrossBlock, ...]
    past: tuple[PastBlock, ...] = ()


@dataclass(frozen=True, eq=False)
class PackedLayout:
    """How a packed sequence is forwarded: all tokens attend as ``pattern`` says, and ``wanted_W`` come out of the last
    layer, where they alone attend (``last``).

    ``kept``, when given, receives each layer's keys and values (1, J, T, D).
    """

    pattern: Pattern
    wanted_W: Tensor
    last: Pattern
    kept: dict[int, tuple[Tensor, Tensor]] | None

    @staticmethod
    def of(pattern: Pattern, wanted_W: Tensor, *, kept: dict[int, tuple[Tensor, Tensor]] | None = None) -> PackedLayout:
        """The layout of a pattern that has a row for every token; ``wanted_W`` in ascending order."""
        return PackedLayout(pattern, wanted_W, _pattern_of_wanted(pattern, wanted_W.numpy()), kept)


def merged_runs(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The same runs, as few as can be."""
    merged: list[Run] = []
    for run in runs:
        joined = merged[-1].joined(run) if merged else None
        merged[-1:] = [joined] if joined else [*merged[-1:], run]
    return tuple(merged)


def _pattern_of_wanted(pattern: Pattern, wanted: np.ndarray) -> Pattern:
    """The pattern with the wanted tokens' rows alone."""
    runs: list[Run] = []
    blocks: list[CrossBlock] = []
    for run in pattern.runs:
        for piece in range(run.keys, run.tokens.stop, run.length):
            for start, stop in _stretches(wanted, piece, piece + run.length):
                rows = _rows_of(wanted, slice(start, stop))
                alone = stop - start == 1 and start > piece  # a single token is no run of its own
                if not alone:
                    runs.append(Run(rows.start, start, 1, stop - start))
                if start > piece:
                    blocks.append(CrossBlock(slice(piece, stop if alone else start), rows))
    blocks += [replace(block, queries=_rows_of(wanted, block.queries)) for block in pattern.blocks]
    past = [replace(block, queries=_rows_of(wanted, block.queries)) for block in pattern.past]
    return Pattern(
        merged_runs(runs),
        tuple(block for block in blocks if block.queries.start < block.queries.stop),
        tuple(block for block in past if block.queries.start < block.queries.stop),
    )


def _stretches(wanted: np.ndarray, first: int, end: int) -> Sequence[tuple[int, int]]:
    """Consecutive wanted tokens among those from ``first`` to ``end``, each stretch as start and stop."""
    places = wanted[_rows_of(wanted, slice(first, end))]
    if not len(places):
        return []
    parts = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def _rows_of(wanted: np.ndarray, tokens: slice) -> slice:
    """The rows of the wanted ones among some tokens."""
    first, last = np.searchsorted(wanted, (tokens.start, tokens.stop))
    return slice(int(first), int(last))

"""Keys and values of what has been computed, by token, so that a prompt that extends it is prefilled from there on.

Legend: L tokens of a sequence, N tokens of a segment, J key heads, D head width; keys and values of all layers together
are (layers, 2, J, N, D). The 5 numbers that tell tokens apart are those of ``policy/prefix_tree.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from zoom_iqa.policy.prefix_tree import Tokens, first_token, shared_length


@dataclass(eq=False)
class Segment:
    """Tokens that follow on those of ``above``, with their keys and values; ``used`` orders segments by last use."""

    tokens_5N: Tokens
    kv: Tensor
    above: Segment | None
    used: int
    below: dict[tuple[int, ...], Segment] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.tokens_5N.shape[1]


@dataclass(frozen=True)
class Piece:
    """The first ``length`` tokens of a segment."""

    segment: Segment
    length: int

    @property
    def kv(self) -> Tensor:
        """Keys and values (layers, 2, J, length, D)."""
        return self.segment.kv[..., : self.length, :]


class PrefixStore:
    """A tree of segments. The least recently used leaves first, and never before the segments that follow on it."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, ...], Segment] = {}
        self._clock = itertools.count()
        self.tokens = 0

    def find(self, tokens_5L: Tokens) -> list[Piece]:
        """The longest beginning of a sequence that is stored, piece by piece; perhaps nothing."""
        pieces: list[Piece] = []
        segments, at = self._first, 0
        while at < tokens_5L.shape[1]:
            segment = segments.get(first_token(tokens_5L[:, at:]))
            if segment is None:
                break
            segment.used = next(self._clock)
            pieces.append(Piece(segment, shared_length(segment.tokens_5N, tokens_5L[:, at:])))
            at += pieces[-1].length
            if pieces[-1].length < len(segment):
                break
            segments = segment.below
        return pieces

    def add(self, tokens_5L: Tokens, read: Callable[[int, int], Tensor]) -> None:
        """Store what is missing of a sequence; ``read`` copies keys and values of places from one up to another."""
        pieces = self.find(tokens_5L)
        stored, length = sum(piece.length for piece in pieces), tokens_5L.shape[1]
        if stored == length:
            return
        if pieces and pieces[-1].length < len(pieces[-1].segment):
            self._split(pieces[-1])
        above = pieces[-1].segment if pieces else None
        new = Segment(tokens_5L[:, stored:].copy(), read(stored, length), above, next(self._clock))
        self._among(above)[first_token(new.tokens_5N)] = new
        self.tokens += len(new)

    def shrink_to(self, tokens: int) -> None:
        """Let the least recently used go until at most so many tokens are stored."""
        while self.tokens > tokens:
            last = min(self._leaves(), key=lambda segment: segment.used)
            del self._among(last.above)[first_token(last.tokens_5N)]
            self.tokens -= len(last)

    def clear(self) -> None:
        """Let everything go."""
        self._first = {}
        self.tokens = 0

    def _among(self, above: Segment | None) -> dict[tuple[int, ...], Segment]:
        return self._first if above is None else above.below

    def _leaves(self) -> list[Segment]:
        leaves, waiting = [], list(self._first.values())
        while waiting:
            segment = waiting.pop()
            waiting.extend(segment.below.values())
            if not segment.below:
                leaves.append(segment)
        return leaves

    def _split(self, piece: Piece) -> None:
        """Cut a segment after a piece of it; its end, copied so that it can go by itself, follows on it."""
        segment, at = piece.segment, piece.length
        end = Segment(segment.tokens_5N[:, at:], segment.kv[..., at:, :].clone(), segment, segment.used, segment.below)
        for below in end.below.values():
            below.above = end
        segment.tokens_5N, segment.kv = segment.tokens_5N[:, :at], segment.kv[..., :at, :].clone()
        segment.below = {first_token(end.tokens_5N): end}


def limited(pieces: list[Piece], length: int) -> list[Piece]:
    """Pieces cut to ``length`` tokens in all."""
    kept: list[Piece] = []
    for piece in pieces:
        if length:
            kept.append(Piece(piece.segment, min(piece.length, length)))
            length -= kept[-1].length
    return kept

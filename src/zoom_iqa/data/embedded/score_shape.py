"""Scores of made images distributed as another set's, by drawing from more recipes than are needed.

Types and levels give scores that are spread rather evenly. Real sets are not: few of their images are very bad or very
good, and re-sampling by rarity can only matter there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from zoom_iqa.base.errors import ConfigError

Scores = Literal["koniq"]

SHARES: dict[Scores, tuple[int, ...]] = {
    "koniq": (22, 96, 218, 438, 644, 963, 1440, 2000, 1155, 82),
}
"""Images by score, in bins of equal width on 1-5. KonIQ-10k's training images (Hosu et al. 2020), on its own scale."""

Made = TypeVar("Made")


def pool_size(size: int) -> int:
    """How many are made for ``size`` that are wanted: where a bin has fewer than are wanted, they come up again."""
    return max(4 * size, 1000)


def shaped(
    made: Sequence[Made], mos: Sequence[float], *, scores: Scores, size: int, rng: np.random.Generator
) -> list[Made]:
    """``size`` of ``made``, whose scores ``mos`` (1-5) are then distributed as ``scores`` says.

    Raises:
        ConfigError: there is no such distribution, or nothing was made of a score that it has.
    """
    if scores not in SHARES:
        raise ConfigError(f"scores={scores}: give one of {', '.join(SHARES)}, or null")
    counts = _counts(SHARES[scores], size)
    bin_of = np.clip(((np.asarray(mos) - 1) / 4 * len(counts)).astype(int), 0, len(counts) - 1)
    taken: list[Made] = []
    for number, count in enumerate(counts):
        members = rng.permutation(np.flatnonzero(bin_of == number))
        if count and not len(members):
            low, high = 1 + 4 * number / len(counts), 1 + 4 * (number + 1) / len(counts)
            raise ConfigError(
                f"scores={scores}: none of {len(mos)} images has a score from {low:.1f} to {high:.1f}; leave some "
                "images pristine and distort some all over, or give data.train.scores=null"
            )
        taken += [made[members[place % len(members)]] for place in range(count)]
    return taken


def _counts(shares: Sequence[int], size: int) -> list[int]:
    """``size`` divided in proportion; those left over by rounding down go to the largest remainders."""
    exact = np.asarray(shares) / sum(shares) * size
    counts = np.floor(exact).astype(int)
    for number in np.argsort(counts - exact, kind="stable")[: size - int(counts.sum())]:
        counts[number] += 1
    return [int(count) for count in counts]

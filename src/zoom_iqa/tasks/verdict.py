"""The word for a rating: the five grades of ITU-R BT.500's quality scale."""

from __future__ import annotations

import math

VERDICTS = ("bad", "poor", "fair", "good", "excellent")


def word_for(rating: float) -> str:
    """The grade nearest to a rating on 1-5, of two as near the better."""
    return VERDICTS[min(len(VERDICTS), max(1, math.floor(rating + 0.5))) - 1]

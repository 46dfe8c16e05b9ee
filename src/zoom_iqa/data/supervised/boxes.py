"""Boxes as written trajectories name them: edges of a few decimals, and the place of a region in words."""

from __future__ import annotations

import numpy as np

from zoom_iqa.base.types import Region

_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def written(region: Region, *, decimals: int) -> Region:
    """A region with its edges as they will be printed, kept apart by at least the last decimal."""
    (x1, x2), (y1, y2) = _apart(region[0], region[2], decimals), _apart(region[1], region[3], decimals)
    return x1, y1, x2, y2


def widened(region: Region, *, by: float, rng: np.random.Generator) -> Region:
    """A region with each edge moved outwards by up to ``by``, within the image."""
    shifts = rng.uniform(0.0, by, size=4) * (-1, -1, 1, 1)
    x1, y1, x2, y2 = (float(edge) for edge in np.clip(np.add(region, shifts), 0.0, 1.0))
    return x1, y1, x2, y2


def shown_as(region: Region, *, decimals: int) -> str:
    """The four edges with so many decimals, in JSON without its brackets."""
    return ", ".join(f"{edge:.{decimals}f}" for edge in region)


def place_of(region: Region) -> str:
    """The ninth of the image in which the centre of the region lies: "upper left", "centre", "middle right" ..."""
    x, y = (region[0] + region[2]) / 2, (region[1] + region[3]) / 2
    row, column = _ROWS[min(2, int(3 * y))], _COLUMNS[min(2, int(3 * x))]
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"


def _apart(start: float, end: float, decimals: int) -> tuple[float, float]:
    scale = 10**decimals
    first = min(round(start * scale), scale - 1)
    return first / scale, max(round(end * scale), first + 1) / scale

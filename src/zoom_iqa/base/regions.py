"""Regions of an image as fractions of its width and height: how much of one another they hold."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from zoom_iqa.base.types import Box, Region

WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
OVERSHOT = 0.5
"""How far beyond the image a box of fractions may reach: as pixels it would have no extent worth the name."""


def is_fractions(bbox: Region) -> bool:
    """Whether four numbers are fractions of width and height, perhaps a little beyond the border, and not pixels."""
    return all(-OVERSHOT <= edge <= 1 + OVERSHOT for edge in bbox)


def area(region: Region) -> float:
    """Its share of the image; 0 for one without extent."""
    return max(0.0, region[2] - region[0]) * max(0.0, region[3] - region[1])


def common(a: Region, b: Region) -> Region:
    """The part of both, without extent where they do not meet."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def union_area(regions: Sequence[Region]) -> float:
    """The area of the union, exactly: over the cells between all edges."""
    xs = sorted({edge for region in regions for edge in (region[0], region[2])})
    ys = sorted({edge for region in regions for edge in (region[1], region[3])})
    return sum(
        (right - left) * (bottom - top)
        for left, right in itertools.pairwise(xs)
        for top, bottom in itertools.pairwise(ys)
        if any(r[0] <= left and right <= r[2] and r[1] <= top and bottom <= r[3] for r in regions)
    )


def coverage(region: Region, by: Sequence[Region]) -> float:
    """The share of a region, which has an extent, that the union of others covers."""
    return union_area([common(region, other) for other in by]) / area(region)


def overlap(region: Region, others: Sequence[Region]) -> float:
    """Intersection over union of a region and the union of others, 0 where nothing has an extent.

    Unlike coverage, the whole image earns little.
    """
    covered = union_area([common(region, other) for other in others])
    total = union_area(others) + area(region) - covered
    return covered / total if total > 0 else 0.0


def fractions_of(box: Box, size: tuple[int, int]) -> Region:
    """A box of pixels in an image of ``size`` (width, height)."""
    width, height = size
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height

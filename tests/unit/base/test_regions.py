"""Areas of regions and of their unions, against counting cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.regions import area, common, coverage, fractions_of, overlap, union_area

CELLS = 8
EDGES = st.integers(0, CELLS)
BOXES = st.tuples(EDGES, EDGES, EDGES, EDGES).map(
    lambda e: (min(e[0], e[2]) / CELLS, min(e[1], e[3]) / CELLS, max(e[0], e[2]) / CELLS, max(e[1], e[3]) / CELLS)
)


def cells(box: tuple[float, ...]) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (round(edge * CELLS) for edge in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@given(st.lists(BOXES, max_size=5))
def test_the_area_of_a_union(boxes: list[tuple[float, float, float, float]]) -> None:
    counted = set().union(*map(cells, boxes))
    assert union_area(boxes) == pytest.approx(len(counted) / CELLS**2)


@given(BOXES.filter(lambda box: area(box) > 0), st.lists(BOXES, max_size=4))
def test_coverage_and_overlap(
    region: tuple[float, float, float, float], others: list[tuple[float, float, float, float]]
) -> None:
    counted, union = cells(region), set().union(*map(cells, others))
    assert coverage(region, others) == pytest.approx(len(counted & union) / len(counted))
    assert overlap(region, others) == pytest.approx(len(counted & union) / len(counted | union))


def test_what_does_not_meet_has_no_extent() -> None:
    assert area(common((0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 1.0, 1.0))) == 0.0
    assert fractions_of((10, 20, 50, 60), (100, 80)) == (0.1, 0.25, 0.5, 0.75)

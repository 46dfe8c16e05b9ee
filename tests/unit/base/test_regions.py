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


LEFT, RIGHT, MOST = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 0.75, 1.0)
LINE = (0.0, 0.0, 0.0, 1.0)
INVERTED = (0.75, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        (LEFT, LEFT, 1.0),
        (LEFT, RIGHT, 0.0),
        (LEFT, MOST, 2 / 3),
        (RIGHT, MOST, 0.25),  # 0.25 shared of 1
        (LINE, LINE, 0.0),
        (LINE, LEFT, 0.0),
        (INVERTED, MOST, 0.0),
        (INVERTED, INVERTED, 0.0),
    ],
)
def test_the_overlap_of_two(one: tuple[float, ...], other: tuple[float, ...], iou: float) -> None:
    assert overlap(one, [other]) == pytest.approx(iou)
    assert overlap(other, [one]) == pytest.approx(iou)


@given(*[st.tuples(*[st.floats(0, 1)] * 4)] * 2)
def test_the_overlap_of_two_is_the_closed_form(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    total = sum(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (one, other)) - shared
    assert overlap(one, [other]) == (shared / total if total > 0 else 0.0)


def test_nothing_overlaps_nothing() -> None:
    assert overlap(LINE, [LINE, LINE]) == 0.0
    assert overlap(LINE, []) == 0.0


def test_what_does_not_meet_has_no_extent() -> None:
    assert area(common((0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 1.0, 1.0))) == 0.0
    assert fractions_of((10, 20, 50, 60), (100, 80)) == (0.1, 0.25, 0.5, 0.75)

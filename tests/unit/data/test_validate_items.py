"""Each kind of unusable record is named with its row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import Example, rated_example
from zoom_iqa.data.validation import validate_items


def item(name: str, mos: float = 3.0, std: float | None = None, path: str | None = None) -> Example:
    return rated_example(id=name, dataset="set", mos=mos, mos_std=std, path=path)


def test_good_items_pass(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    good = [item("a", 1.0, 0.0), item("b", 5.0), item("c", path=str(tmp_path / "a.png"))]
    assert validate_items(good) is None


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(DataError, match="split is empty"):
        validate_items([])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (item("x", math.nan), "row 1, set:x: mos=nan is not a number"),
        (item("x", math.inf), "row 1, set:x: mos=inf is not a number"),
        (item("x", 63.2), "row 1, set:x: mos=63.2 is outside 1-5"),
        (item("x", 0.99), "row 1, set:x: mos=0.99 is outside 1-5"),
        (item("x", 3.0, -1.0), "row 1, set:x: mos_std=-1.0"),
        (item("x", 3.0, math.nan), "row 1, set:x: mos_std=nan"),
        (item("x", path="/nowhere/x.png"), "row 1, set:x: no file /nowhere/x.png"),
    ],
)
def test_a_bad_row_is_named(bad: Example, words: str) -> None:
    with pytest.raises(DataError) as caught:
        validate_items([item("a"), bad])
    assert len(caught.value.rows) == 1
    assert caught.value.rows[0].startswith(words)


def test_all_bad_rows_are_listed_and_duplicates_counted() -> None:
    with pytest.raises(DataError, match="4 problems in 4") as caught:
        validate_items([item("a"), item("a"), item("a"), item("b", math.nan)])
    assert [row.split(":")[0] for row in caught.value.rows] == ["row 0, set", "row 1, set", "row 2, set", "row 3, set"]
    assert "comes 3 times" in caught.value.rows[0]


def test_the_same_id_in_two_sets_is_fine() -> None:
    same = [item("a"), rated_example(id="a", dataset="other", mos=2.0)]
    assert validate_items(same) is None

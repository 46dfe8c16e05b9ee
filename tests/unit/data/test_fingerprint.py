"""A fingerprint tells data sets apart by names, labels and order, wherever their files lie."""

from __future__ import annotations

import re

from zoom_iqa.base.types import rated_example
from zoom_iqa.data.fingerprint import fingerprint

A = rated_example(id="a", dataset="d", mos=2.0, path="/here/a.png")
B = rated_example(id="b", dataset="d", mos=3.0, path="/here/b.png")


def test_equal_labels_have_equal_fingerprints_on_every_machine() -> None:
    moved = rated_example(id="a", dataset="d", mos=2.0, path="/there/a.png")
    assert fingerprint([A, B]) == fingerprint([moved, B])
    assert re.fullmatch("[0-9a-f]{16}", fingerprint([A, B]))


def test_other_labels_names_files_or_orders_have_others() -> None:
    others = [
        [B, A],
        [A],
        [rated_example(id="a", dataset="d", mos=2.5, path="/here/a.png"), B],
        [rated_example(id="c", dataset="d", mos=2.0, path="/here/a.png"), B],
        [rated_example(id="a", dataset="d", mos=2.0, path="/here/c.png"), B],
    ]
    assert len({fingerprint(items) for items in [[A, B], *others]}) == 6

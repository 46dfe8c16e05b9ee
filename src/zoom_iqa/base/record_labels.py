"""Whether records were made with the labels that a data set has now: a file that grows would mix the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zoom_iqa.base.equality import EQUAL_MOS
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Example, Mos


def changed_labels(records: Iterable[Record], examples: Sequence[Example]) -> list[str]:
    """The examples whose label is another one now, once each, with both; records of other images are left out."""
    now = {example.key: _label(example) for example in examples}
    changed = {
        record.image_key: f"{record.example.name}: {_label(record.example)} then, {now[record.image_key]} now"
        for record in records
        if record.image_key in now and not _equal(now[record.image_key], _label(record.example))
    }
    return list(changed.values())


def _equal(one: float | str | None, other: float | str | None) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= EQUAL_MOS
    return one == other


def _label(example: Example) -> float | str | None:
    """The target as far as records keep it."""
    target = example.target
    if isinstance(target, Mos):
        return target.mean
    return None if target is None else target.choice

"""Whether records were made with the labels that a data set has now: a file that grows would mix the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from zoom_iqa.base.equality import EQUAL_MOS
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.types import Example, Preference

Label = float | tuple[str, bool] | None


def changed_labels(records: Iterable[Record], examples: Sequence[Example]) -> list[str]:
    """The examples whose label is another one now, once each, with both; records of other images are left out."""
    now = {example.key: _label(example) for example in examples}
    changed: dict[tuple[str, str], str] = {}
    for record in records:
        then = _label(record.example)
        if record.image_key in now and not _equal(now[record.image_key], then):
            said = f"{record.example.name}: {_said(then)} then, {_said(now[record.image_key])} now"
            changed[record.image_key] = said
    return list(changed.values())


def with_facts(record: Record, example: Example) -> Record:
    """The record with what its data set says of the image now, as far as records keep it; the answer stays.

    Photographs, references and the like can be corrected after images were judged; figures are of what holds now.
    A defect that is known only once the image is made stays known.
    """
    codec = RecordCodec()
    known = replace(example, truth=example.truth or record.example.truth)
    return codec.decode(codec.encode(replace(record, example=known)))


def _equal(one: Label, other: Label) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= EQUAL_MOS
    return one == other


def _label(example: Example) -> Label:
    """The mean opinion score; or the choice, and whether the two images are shown in the other order."""
    target = example.target
    if isinstance(target, Preference):
        return target.choice, target.swapped
    return None if target is None else target.mean


def _said(label: Label) -> str:
    if isinstance(label, tuple):
        choice, swapped = label
        return f"{choice}, swapped" if swapped else choice
    return "none" if label is None else f"{label:.10g}"

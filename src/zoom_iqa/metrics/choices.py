"""Whether a choice between two images is the one that people made."""

from __future__ import annotations

from zoom_iqa.base.records import Record
from zoom_iqa.base.targets import Preference


def matches(record: Record) -> bool:
    """Whether a record's choice is the one that people made."""
    target = record.example.target
    return isinstance(target, Preference) and record.choice == target.choice

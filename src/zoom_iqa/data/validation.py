"""Checks of labelled items before anybody waits for a training run."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.targets import CHOICES, Preference
from zoom_iqa.base.types import Example

MOS_MIN, MOS_MAX = 1.0, 5.0


def validate_items(items: Sequence[Example]) -> None:
    """Pass, or name every offending row at once. Files are looked for, not opened.

    Raises:
        DataError: no items; a score that is not a number from 1 to 5, a negative spread, or a preference that is
            none; an id that comes twice in a data set; a file that is missing. ``rows`` has a line for each, with the
            item's place in the list.
    """
    if not items:
        raise DataError("the split is empty; check the data set's root and split, and give at least one labelled image")
    counts = Counter(item.key for item in items)
    rows = [
        f"row {number}, {item.dataset}:{item.id}: {problem}"
        for number, item in enumerate(items)
        for problem in _problems(item, counts[item.key])
    ]
    if rows:
        raise DataError(f"{len(rows)} problems in {len(items)} labelled images", rows)


def _problems(item: Example, occurrences: int) -> list[str]:
    problems = _preference_problems(item.target) if isinstance(item.target, Preference) else _mos_problems(item)
    if occurrences > 1:
        problems.append(f"the id comes {occurrences} times")
    paths = [ref.path for ref in item.images if ref.path is not None]
    problems += [f"no file {path}" for path in paths if not os.path.isfile(path)]  # unlike Path's, no error either
    return problems


def _mos_problems(item: Example) -> list[str]:
    problems = []
    if not math.isfinite(item.mos):
        problems.append(f"mos={item.mos} is not a number")
    elif not MOS_MIN <= item.mos <= MOS_MAX:
        problems.append(f"mos={item.mos} is outside 1-5; give the scale of the data set, so that it is converted")
    if item.mos_std is not None and not (math.isfinite(item.mos_std) and item.mos_std >= 0):
        problems.append(f"mos_std={item.mos_std} is not a spread")
    return problems


def _preference_problems(target: Preference) -> list[str]:
    return [] if target.choice in CHOICES else [f"the preference {target.choice!r} is none of {', '.join(CHOICES)}"]

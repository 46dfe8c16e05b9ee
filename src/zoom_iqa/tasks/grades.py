"""Reading a judge's grades of a text: four criteria, each a whole number from 1 to 9 in a tag of its name.

After Table 7 of Zoom-IQA (arXiv 2601.02918). An answer that cannot be read has a typed outcome and never a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from zoom_iqa.base.types import Finish

JUDGE = "judge"
"""The speaker who grades, and the name of its question about a rollout."""
CRITERIA = ("accuracy", "reasonableness", "completeness", "confidence")
"""In the order of the published table."""
LOWEST, HIGHEST = 1, 9
GradeFailure = Literal["failed", "refused", "length", "missing_criterion", "grade_out_of_range"]
GRADE_FAILURES: tuple[GradeFailure, ...] = get_args(GradeFailure)
_GRADE = {name: re.compile(rf"<{name}>\s*([^<>]*?)\s*</{name}>", re.IGNORECASE) for name in CRITERIA}
_WHOLE = re.compile(r"[0-9]+")
_IN_RANGE = re.compile(rf"0*[{LOWEST}-{HIGHEST}]")  # of any length, as int() takes no thousands of digits


def read_grades(text: str, finish: Finish) -> Mapping[str, int] | GradeFailure:
    """A whole number from 1 to 9 of every criterion, each in its tag exactly once; or why they cannot be had."""
    if finish != "stop":
        return finish
    grades: dict[str, int] = {}
    for name, tag in _GRADE.items():
        found = tag.findall(text)
        if len(found) != 1 or not _WHOLE.fullmatch(found[0]):
            return "missing_criterion"
        if not _IN_RANGE.fullmatch(found[0]):
            return "grade_out_of_range"
        grades[name] = int(found[0][-1])
    return grades

"""Assessments as JSON, as JSON Lines and as CSV, written one after the other as they are made.

JSON is ASCII, so that names of files in any encoding and texts of models pass every pipe.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.assessment import Assessment, Outcome, Unviewable
from zoom_iqa.reports.numbers import rounded

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of what a spreadsheet computes."""
COLUMNS = (
    *("image", "width", "height", "rating", "spread", "expected", "expected_std"),
    *("verdict", "crops", "answers", "readable", "failure", "error"),
)


class JsonList:
    """One JSON list; it is closed whatever ends the block, so that the part that is done can be read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._begun = False

    def __enter__(self) -> JsonList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.write("]\n" if self._begun else "[]\n")

    def write(self, outcome: Outcome) -> None:
        """Add one."""
        self._file.write("," if self._begun else "[\n")
        self._begun = True
        self._file.write(json.dumps(fields_of(outcome)) + "\n")  # whole lines: a terminal shows progress between them


class JsonLines:
    """A JSON object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to write."""

    def write(self, outcome: Outcome) -> None:
        """Add one."""
        self._file.write(json.dumps(fields_of(outcome)) + "\n")


class CsvRows:
    """A row an image under ``COLUMNS``, without texts.

    A file whose name a spreadsheet would compute as a formula is ``./NAME``, which is the same file.
    """

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")

    def __enter__(self) -> CsvRows:
        self._writer.writeheader()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to write."""

    def write(self, outcome: Outcome) -> None:
        """Add one."""
        fields = fields_of(outcome)
        if isinstance(outcome, Assessment):
            fields["crops"] = len(outcome.looks)
            fields["answers"] = len(outcome.records)
            fields["readable"] = sum(record.rating is not None for record in outcome.records)
        for key in ("image", "error"):  # an error begins with the file's name
            if (fields.get(key) or "").startswith(_FORMULA):
                fields[key] = f"./{fields[key]}"
        self._writer.writerow(fields)


def fields_of(outcome: Outcome) -> dict[str, Any]:
    """JSON-safe fields; docs/figures.md says what each of them is."""
    if isinstance(outcome, Unviewable):
        return {"image": outcome.source, "error": outcome.reason}
    expected = outcome.expected
    sections: list[Mapping[str, str]] = [dict(found) for found in outcome.paragraphs]
    return {
        "image": outcome.source,
        "width": outcome.size[0],
        "height": outcome.size[1],
        "rating": rounded(outcome.rating),
        "spread": rounded(outcome.spread),
        "expected": None if expected is None else rounded(expected.mean),
        "expected_std": None if expected is None else rounded(expected.std),
        "verdict": outcome.verdict,
        "failure": outcome.failure,
        "sections": sections,
        "crops": [
            {
                "box": list(look.box),
                "region": [rounded(end) for end in look.region],
                "sought": look.sought,
                "rating_before": look.before,
                "rating_after": look.after,
            }
            for look in outcome.looks
        ],
        "evidence": None if outcome.evidence is None else [_evidence(one) for one in outcome.evidence],
        "answers": [_answer(record) for record in outcome.records],
        "error": None,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {"bbox_2d": list(evidence.bbox), "defect": evidence.defect, "severity": evidence.severity}


def _answer(record: Record) -> dict[str, Any]:
    return {
        "rating": record.rating,
        "failure": record.failure,
        "ending": record.ending.value,
        "turns": [step.text for step in record.steps],
    }

"""The format report of a text alone."""

from __future__ import annotations

from collections.abc import Sequence

from zoom_iqa.tasks.answer import read_object
from zoom_iqa.tasks.format import FormatReport, format_report


def check_format(text: str, *, sections: Sequence[str], final_only: bool) -> FormatReport:
    return format_report(read_object(text), sections=sections, final_only=final_only)


def violations_of(report: FormatReport) -> tuple[str, ...]:
    """Names of requirements that do not hold."""
    return tuple(name for name, holds in report.requirements if not holds)

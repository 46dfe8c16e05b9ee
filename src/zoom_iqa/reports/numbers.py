"""Numbers as pages, tables and files of answers have them."""

from __future__ import annotations

import math

DIGITS = 4
"""Decimals that files of answers keep."""


def rounded(value: float | None) -> float | None:
    """As files of answers keep it; None stays None."""
    return None if value is None else round(value, DIGITS)


def rating_said(rating: float | None) -> str:
    """A rating or its expectation in words, where there may be none."""
    return "unreadable" if rating is None else f"{rating:.2f}"


def grade_cell(grade: float | None) -> str:
    """A mean grade in a cell, which stays empty where there is none."""
    return "" if grade is None else f"{grade:.2f}"


def figure_cell(value: object) -> str:
    """A figure in a cell; the reason of one that is undefined has no room there."""
    return f"{value:.3f}" if isinstance(value, float) else "undefined"


def csv_number(value: float) -> str:
    """A number in a table's file; empty where it is not defined."""
    return "" if math.isnan(value) else f"{value:.{DIGITS}f}"


def ends_said(low: float, high: float, form: str = ".3f") -> str:
    """An interval in brackets, behind the value that it is of; ``form`` is the format of both ends."""
    return f"[{low:{form}}, {high:{form}}]"

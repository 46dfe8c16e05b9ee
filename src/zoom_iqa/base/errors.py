"""Typed errors. Each names the field, the value and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

FailureReason = Literal["missing_answer", "malformed_json", "bad_rating", "bad_bbox", "bad_tool"]
"""Why a generated answer could not be read; counted and reported under these names."""

FAILURE_REASONS: tuple[FailureReason, ...] = (
    "missing_answer",
    "malformed_json",
    "bad_rating",
    "bad_bbox",
    "bad_tool",
)


class ZoomIQAError(Exception):
    """Base of every error this package raises on purpose."""


class ProtocolError(ZoomIQAError):
    """A generated text does not follow the answer protocol; ``reason`` says in which way."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: FailureReason = reason
        self.detail = detail


class SessionError(ZoomIQAError):
    """A session was called out of order: the wrong generation, or one too many."""


class ConfigError(ZoomIQAError):
    """A configuration value is wrong or contradicts another one."""


class PolicyError(ZoomIQAError):
    """A policy's weights, tokenizer or processor cannot be loaded or do not fit each other."""


class ImageError(ZoomIQAError):
    """An image cannot be read or shown."""


class DataError(ZoomIQAError):
    """Records of a data set are unusable; ``rows`` lists each offending one in a line."""

    def __init__(self, message: str, rows: Sequence[str] = ()) -> None:
        shown = list(rows[:20])
        if len(rows) > len(shown):
            shown.append(f"... and {len(rows) - len(shown)} more")
        super().__init__("\n  - ".join([message, *shown]))
        self.rows = tuple(rows)


class UndefinedMetricError(ZoomIQAError):
    """A metric has no value for these inputs (too few, or constant); ``reason`` says why. Never reported as NaN."""

    def __init__(self, metric: str, reason: str) -> None:
        super().__init__(f"{metric} is undefined: {reason}")
        self.metric = metric
        self.reason = reason

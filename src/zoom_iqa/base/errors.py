"""Typed errors. Each names the field, the value and the remedy."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from zoom_iqa.base.printable import printable

ROW_LIMIT = 400
"""Characters of an offending row that are shown."""

FailureReason = str
"""Why there is no rating, or no choice: a name of those below, or a task's own; counted and reported by it."""

FAILURE_REASONS: tuple[FailureReason, ...] = (
    "missing_answer",
    "malformed_json",
    "bad_rating",
    "bad_choice",
    "bad_bbox",
    "bad_tool",
    "unviewable",
)
"""Why a generated answer could not be read, or an image or crop not be shown."""

PEER_REASONS: tuple[FailureReason, ...] = ("no_score",)
"""Why a peer gives no number: it has none for such an image."""


class ZoomIQAError(Exception):
    """Base of every error this package raises on purpose. Text from outside is printable in its message."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross to another process as it is: subclasses are made of other arguments than the message alone."""
        return _made_again, (type(self), self.args), self.__dict__


class ProtocolError(ZoomIQAError):
    """A generated text does not follow the answer protocol; ``reason`` says in which way."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: FailureReason = reason
        self.detail = printable(detail)  # it is written into records


class SessionError(ZoomIQAError):
    """A session was called out of order: the wrong generation, or one too many."""


class ConfigError(ZoomIQAError):
    """A configuration value is wrong or contradicts another one."""


class PolicyError(ZoomIQAError):
    """A policy's weights, tokenizer or processor cannot be loaded, do not fit each other, or give no distribution."""


class ImageError(ZoomIQAError):
    """An image cannot be read or shown."""


class OutputError(ZoomIQAError):
    """A result cannot be written: the disk is full, or the place is none."""


class DataError(ZoomIQAError):
    """Records of a data set are unusable; ``rows`` lists each offending one in a line."""

    def __init__(self, message: str, rows: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(printable(row, limit=ROW_LIMIT) for row in rows)
        shown = list(self.rows[:20])
        if len(rows) > len(shown):
            shown.append(f"... and {len(rows) - len(shown)} more")
        self.args = ("\n  - ".join([*self.args, *shown]),)


class UndefinedMetricError(ZoomIQAError):
    """A metric has no value for these inputs (too few, or constant); ``reason`` says why. Never reported as NaN."""

    def __init__(self, metric: str, reason: str) -> None:
        super().__init__(f"{metric} is undefined: {reason}")
        self.metric = metric
        self.reason = reason


class TrainingError(ZoomIQAError):
    """Training cannot go on by itself, and its last good state is saved."""


class CheckpointError(ZoomIQAError):
    """A checkpoint of a run cannot be used."""


class ProcessError(ZoomIQAError):
    """A process that this one depends on has died."""


class AnswersError(ZoomIQAError):
    """Answers that are needed do not come; all that was done before them can be saved and gone on with."""


class LateError(AnswersError):
    """An engine has not answered in time, however often it was asked."""


class ServerError(AnswersError):
    """A server that answers requests cannot be used: it is gone, or refuses every request."""


class BudgetError(AnswersError):
    """Requests, tokens or money allowed for a server's answers are spent."""


class StoppedError(BaseException):
    """A signal asked the run to stop; ``number`` says which, and the run's exit status follows from it.

    ``whole`` says that it came between two steps of training, so that what there is can be saved.

    Like KeyboardInterrupt it is no Exception: it may come anywhere, and handlers of errors must let it pass.
    """

    def __init__(self, number: signal.Signals, *, whole: bool = False) -> None:
        super().__init__(f"stopped by {number.name}")
        self.number = number
        self.whole = whole


def _made_again(kind: type[ZoomIQAError], args: tuple[object, ...]) -> ZoomIQAError:
    """An error with its message as it was; its other fields follow as state."""
    error = kind.__new__(kind)
    error.args = args
    return error

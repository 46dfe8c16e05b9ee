"""Texts of the two-turn protocol -> readings, each text parsed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoom_iqa.base.errors import ProtocolError
from zoom_iqa.base.types import ParseFailure, Reading, ToolCall
from zoom_iqa.tasks.answer import AnswerObject, read_object, read_values
from zoom_iqa.tasks.format import format_report


def read_zoom_turn(text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
    """Rating, crop call, format and places of digits of one turn; ``final_only`` is the second turn's rule.

    The rating asks for less than the call: an answer without a readable box still rates.
    """
    found = read_object(text)
    return zoom_reading(
        found,
        written_rating=found.written_rating,
        calls=lambda: _calls(found),
        sections=sections,
        final_only=final_only,
    )


def zoom_reading(
    found: AnswerObject,
    *,
    written_rating: Callable[[], float],
    calls: Callable[[], tuple[ToolCall, ...]],
    sections: Sequence[str],
    final_only: bool,
) -> Reading:
    """The reading of a turn whose rating and calls are read by rules of their own, which raise ``ProtocolError``."""
    values, failure = read_values(written_rating)
    asked: tuple[ToolCall, ...] = ()
    call_failure = None
    try:
        asked = calls()
    except ProtocolError as error:
        call_failure = ParseFailure(error.reason, error.detail)
    return Reading(
        values=values,
        calls=asked,
        well_formed=format_report(found, sections=sections, final_only=final_only).ok,
        failure=failure,
        call_failure=call_failure,
        spans=found.spans,
    )


def _calls(found: AnswerObject) -> tuple[ToolCall, ...]:
    answer = found.answer()
    return (ToolCall(tool="crop", bbox=answer.bbox),) if answer.wants_crop else ()

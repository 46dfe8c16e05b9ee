"""Texts of the two-turn protocol -> readings, each text parsed once."""

from __future__ import annotations

from collections.abc import Sequence

from zoom_iqa.base.errors import ProtocolError
from zoom_iqa.base.types import ParseFailure, Reading, ToolCall
from zoom_iqa.tasks.answer import AnswerObject, read_object, read_values
from zoom_iqa.tasks.format import format_report


def read_zoom_turn(text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
    """Rating, crop call, format and places of digits of one turn; ``final_only`` is the second turn's rule.

    The rating asks for less than the call: an answer without a readable box still rates.
    """
    found = read_object(text)
    calls, call_failure = _calls(found)
    values, failure = read_values(found.written_rating)
    return Reading(
        values=values,
        calls=calls,
        well_formed=format_report(found, sections=sections, final_only=final_only).ok,
        failure=failure,
        call_failure=call_failure,
        spans=found.spans,
    )


def _calls(found: AnswerObject) -> tuple[tuple[ToolCall, ...], ParseFailure | None]:
    try:
        answer = found.answer()
    except ProtocolError as error:
        return (), ParseFailure(error.reason, error.detail)
    return ((ToolCall(tool="crop", bbox=answer.bbox),) if answer.wants_crop else ()), None

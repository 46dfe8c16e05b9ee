"""Reading a generated answer, such as ``<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 3.52, "tool": "final"}</answer>``.

The first ``<answer>{...}</answer>`` of a text counts. Its object is read as strict JSON, then leniently (single quotes,
trailing commas). A number is a JSON number or a string that spells one (``"3.52"``); booleans, NaN and infinities are
not numbers; a key given twice has its last value. Whatever the text, the only error is ``ProtocolError``.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, cast

from zoom_iqa.base.errors import FailureReason, ProtocolError
from zoom_iqa.base.types import Answer, Tool

RATING_MIN = 1.0
RATING_MAX = 5.0
TOOLS: tuple[Tool, ...] = ("crop", "final")

Span = tuple[int, int]
"""Character positions (start, end) in a text; end is exclusive."""

_OPENING = re.compile(r"<answer>\s*(?=\{)")
_CLOSING = re.compile(r"(?<=\})\s*</answer>")
_STRING = r'"(?:[^"\\]|\\.)*"' + "|" + r"'(?:[^'\\]|\\.)*'"
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
# an escape outside a string is one piece: else each of many escaped quotes would be searched to the end of the text
_LEXEME = re.compile(
    rf"(?P<string>{_STRING})|(?P<number>{_NUMBER})|(?P<comma>,)(?=\s*[}}\]])|(?P<other>\\.|.)", re.DOTALL
)
_RATING_KEY = re.compile(r"""["']rating["']""")
_COLON = re.compile(r"\s*:")
_DIGITS = re.compile(r"[0-9]+")


def parse_answer(text: str) -> Answer:
    """Read box, rating and tool: what deciding the next turn needs.

    ``rating`` is clipped to 1-5 as ``read_rating`` does; ``bbox`` is kept as written. The released evaluation code asks
    for less before it crops (any tool but ``final``, any rating, the central half for a box that is none); here such an
    answer is refused and counted by its reason.

    Raises:
        ProtocolError: reason ``missing_answer``, ``malformed_json``, ``bad_rating``, ``bad_bbox`` or ``bad_tool``; the
            last three also stand for an absent key.
    """
    value = _load_object(text)
    rating = _rating_of(value)
    raw_box = value.get("bbox_2d")
    if not isinstance(raw_box, list) or len(raw_box) != 4:
        raise ProtocolError("bad_bbox", f"bbox_2d is {_shown(raw_box)}; a list of four numbers is needed")
    x1, y1, x2, y2 = (_number(coordinate, "bad_bbox", "a bbox_2d coordinate") for coordinate in raw_box)
    tool = value.get("tool")
    if tool not in TOOLS:
        raise ProtocolError("bad_tool", f"tool is {_shown(tool)}; one of {', '.join(TOOLS)} is needed")
    return Answer(bbox=(x1, y1, x2, y2), rating=rating, tool=cast(Tool, tool))


def read_rating(text: str) -> float:
    """Read the rating alone, clipped to 1-5: what scoring needs.

    Raises:
        ProtocolError: reason ``missing_answer``, ``malformed_json`` or ``bad_rating``.
    """
    return _rating_of(_load_object(text))


def find_answer_object(text: str) -> Span | None:
    """Where the first ``<answer>{...}</answer>`` has its object, braces included; None if there is none."""
    opening = _OPENING.search(text)
    if opening is None:
        return None
    closing = _CLOSING.search(text, opening.end())
    return None if closing is None else (opening.end(), closing.start())


def locate_answer_numbers(text: str) -> list[Span]:
    """Every run of digits in the values of the first answer: box coordinates and rating.

    Digits inside keys (``bbox_2d``) and inside strings that spell no number are left out, and so are signs and decimal
    points, which the format fixes. Empty where there is no answer.
    """
    answer = find_answer_object(text)
    return [] if answer is None else _digit_runs(text, *answer)


def locate_rating_digits(text: str) -> list[Span]:
    """The runs of digits of the first answer's rating alone: ``3.52`` gives the spans of ``3`` and ``52``."""
    answer = find_answer_object(text)
    if answer is None:
        return []
    start, end = answer
    value_start = None
    for lexeme in _LEXEME.finditer(text, start, end):
        if _is_key(lexeme, text, end) and _RATING_KEY.fullmatch(lexeme.group()):
            colon = _COLON.match(text, lexeme.end(), end)
            value_start = colon.end() if colon else None
    if value_start is None:
        return []
    for lexeme in _LEXEME.finditer(text, value_start, end):
        if lexeme.lastgroup in ("string", "number"):
            return _digit_runs(text, *lexeme.span())
        if not lexeme.group().isspace():
            return []
    return []


def _digit_runs(text: str, start: int, end: int) -> list[Span]:
    runs: list[Span] = []
    for lexeme in _LEXEME.finditer(text, start, end):
        spells_number = lexeme.lastgroup == "string" and re.fullmatch(_NUMBER, lexeme.group()[1:-1].strip())
        if lexeme.lastgroup == "number" or (spells_number and not _is_key(lexeme, text, end)):
            runs.extend(run.span() for run in _DIGITS.finditer(text, *lexeme.span()))
    return runs


def _is_key(lexeme: re.Match[str], text: str, end: int) -> bool:
    return lexeme.lastgroup == "string" and _COLON.match(text, lexeme.end(), end) is not None


def _load_object(text: str) -> dict[str, Any]:
    answer = find_answer_object(text)
    if answer is None:
        raise ProtocolError("missing_answer", "the text has no <answer>{...}</answer>")
    payload = text[slice(*answer)]
    try:
        value = _loads(payload)
    except ValueError:
        try:
            value = _loads(_as_strict_json(payload))
        except ValueError as error:
            raise ProtocolError("malformed_json", f"{error} in {_shown(payload)}") from error
    if not isinstance(value, dict):
        raise ProtocolError("malformed_json", f"the answer is {_shown(value)}; an object is needed")
    return value


def _loads(payload: str) -> Any:
    try:
        # An integer may be too long for int(); as a float it is at most infinite, which the fields refuse.
        return json.loads(payload, parse_int=float)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error


def _as_strict_json(payload: str) -> str:
    """Rewrite single-quoted strings in double quotes and leave out trailing commas."""
    pieces = []
    for lexeme in _LEXEME.finditer(payload):
        piece = lexeme.group()
        if lexeme.lastgroup == "string" and piece[0] == "'":
            piece = '"' + piece[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
        if lexeme.lastgroup != "comma":
            pieces.append(piece)
    return "".join(pieces)


def _rating_of(value: dict[str, Any]) -> float:
    return min(RATING_MAX, max(RATING_MIN, _number(value.get("rating"), "bad_rating", "rating")))


def _number(value: Any, reason: FailureReason, name: str) -> float:
    number = math.nan
    if isinstance(value, float):
        number = value
    elif isinstance(value, str) and re.fullmatch(_NUMBER, value.strip()):
        number = float(value)
    if not math.isfinite(number):
        raise ProtocolError(reason, f"{name} is {_shown(value)}; a finite number is needed")
    return number


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f"{text[:77]}..." if len(text) > 80 else text

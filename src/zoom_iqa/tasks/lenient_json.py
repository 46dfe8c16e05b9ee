"""JSON as policies write it: strict, else with single quotes, trailing commas and ``+3.25``; and digits in its text.

A number is a JSON number or a string that spells one (``"3.52"``); booleans, NaN and infinities are not numbers; a key
given twice has its last value.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from zoom_iqa.base.types import Span

_STRING = r'"(?:[^"\\]|\\.)*"' + "|" + r"'(?:[^'\\]|\\.)*'"
_UNSIGNED = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_NUMBER = f"-?{_UNSIGNED}"
_SPELLED = re.compile(rf"[+-]?{_UNSIGNED}")
# an escape outside a string is one piece: else each of many escaped quotes would be searched to the end of the text
_LEXEME = re.compile(
    rf"(?P<string>{_STRING})|(?P<word>[^\W\d]\w*)|(?P<number>{_NUMBER})"
    r"|(?P<plus>(?<=[:\[,\s])\+(?=[0-9]))|(?P<comma>,)(?=\s*[}\]])|(?P<other>\\.|.)",
    re.DOTALL,
)
_LEFT_OUT = ("comma", "plus")
_QUOTE = re.compile(r"\\.|\"", re.DOTALL)
_REQUOTED = {"\\'": "'", '"': '\\"'}  # in double quotes; other escapes stay
_COLON = re.compile(r"\s*:")
_ENDS = re.compile(r"\s*(?:[,}]|\Z)")
_DIGITS = re.compile(r"[0-9]+")
_DEPTHS = {"{": 1, "[": 1, "}": -1, "]": -1}


class WrittenNumber(str):
    """A JSON number as it was written, because 3.5 and 3.50 differ in format."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated keys."""


def read_json(payload: str) -> tuple[Any, bool]:
    """A JSON value, objects as ``Pairs`` and numbers as ``WrittenNumber``; whether it is strict JSON, or lenient.

    Raises:
        ValueError: it is neither.
    """
    try:
        return _loads(payload), True
    except ValueError:
        return _loads(_as_strict_json(payload)), False


def finite_number(value: Any) -> float | None:
    """The finite number that a value of ``read_json`` is or spells, None where it is none."""
    if isinstance(value, WrittenNumber) or (isinstance(value, str) and _SPELLED.fullmatch(value.strip())):
        number = float(value)
        return number if math.isfinite(number) else None
    return None


def digits_of(key: str, text: str, start: int, end: int) -> list[Span]:
    """The runs of digits of the number under ``key`` of the object at ``text[start:end]``, not of one inside it.

    What follows it there is none of it; a number that goes on ("7/2") has no runs, as they do not spell it.
    """
    written = (key, f'"{key}"', f"'{key}'")
    value_start, depth = None, 0
    for lexeme in _LEXEME.finditer(text, start, end):
        depth += _DEPTHS.get(lexeme.group(), 0)
        if depth == 0:
            break
        if depth == 1 and _is_key(lexeme, text, end) and lexeme.group() in written:
            colon = _COLON.match(text, lexeme.end(), end)
            value_start = colon.end() if colon else None
    if value_start is None:
        return []
    for lexeme in _LEXEME.finditer(text, value_start, end):
        if lexeme.lastgroup in ("string", "number"):
            return digit_runs(text, *lexeme.span()) if _ENDS.match(text, lexeme.end(), end) else []
        if lexeme.lastgroup != "plus" and not lexeme.group().isspace():
            return []
    return []


def digit_runs(text: str, start: int, end: int) -> list[Span]:
    """Every run of digits in the values of ``text[start:end]``: not in keys, nor in strings that spell no number."""
    runs: list[Span] = []
    for lexeme in _LEXEME.finditer(text, start, end):
        spells_number = lexeme.lastgroup == "string" and _SPELLED.fullmatch(lexeme.group()[1:-1].strip())
        if lexeme.lastgroup == "number" or (spells_number and not _is_key(lexeme, text, end)):
            runs.extend(run.span() for run in _DIGITS.finditer(text, *lexeme.span()))
    return runs


def _is_key(lexeme: re.Match[str], text: str, end: int) -> bool:
    return lexeme.lastgroup in ("string", "word") and _COLON.match(text, lexeme.end(), end) is not None


def _loads(payload: str) -> Any:
    number = WrittenNumber
    try:
        return json.loads(payload, parse_float=number, parse_int=number, parse_constant=number, object_pairs_hook=Pairs)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error


def _as_strict_json(payload: str) -> str:
    """Rewrite single-quoted strings in double quotes; leave out trailing commas and plus signs before numbers."""
    pieces = []
    for lexeme in _LEXEME.finditer(payload):
        piece = lexeme.group()
        if lexeme.lastgroup == "string" and piece[0] == "'":
            piece = '"' + _QUOTE.sub(lambda one: _REQUOTED.get(one.group(), one.group()), piece[1:-1]) + '"'
        if lexeme.lastgroup not in _LEFT_OUT:
            pieces.append(piece)
    return "".join(pieces)

"""Texts of a chain -> readings: calls for a closer look, or an answer with the evidence it rests on.

A turn is ``<think>...</think>``, then either calls, one or more, or an answer:

    <zoom>{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "look_for": "blur"}</zoom>
    <answer>{"rating": 2.35,
             "evidence": [{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "defect": "blur", "severity": "clear"}]}</answer>

The format is ours, after the abstract of Q-DeepSight (arXiv 2604.16858), whose own is not public.

Closed thoughts are not read: a call or an answer inside one is talk. Of a turn with calls and an answer the answer
counts. Whatever the text, reading it raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from zoom_iqa.base.defects import SEVERITIES
from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.types import Reading, ToolCall
from zoom_iqa.tasks.answer import AnswerObject, read_object, read_values, without_thoughts
from zoom_iqa.tasks.format import RATING_FORM
from zoom_iqa.tasks.lenient_json import Pairs, WrittenNumber, finite_number, read_json

ZOOM = "zoom"
"""Name of the tool."""

_CALL_KEYS = {"bbox_2d", "look_for"}
_ANSWER_KEYS = {"rating", "evidence"}
_EVIDENCE_KEYS = {"bbox_2d", "defect", "severity"}
_CALLS = re.compile(r"(?:<zoom>(?:(?!</?zoom>).)*</zoom>\s*)+", re.DOTALL)
_Bbox = tuple[float, float, float, float]


def read_chain_turn(text: str) -> Reading:
    """Calls, or rating and evidence; format and places of digits of one turn.

    A call that cannot be served as it is written has its ``problem``. A turn that only calls has a failure, too: it
    lacks an answer. Evidence that cannot be read is left out, and is None where all that is listed is such.
    """
    visible = without_thoughts(text)
    found = read_object(visible)
    values, failure = read_values(found.written_rating)
    return Reading(
        values=values,
        calls=tuple(map(_call, _payloads(visible))),
        well_formed=_well_formed(text, found),
        failure=failure,
        evidence=_evidence(found),
        spans=replace(found, text=text).spans,  # a thought may name the rating first
    )


def _payloads(text: str) -> Iterator[str | None]:
    """The text between the tags of each call, in order; None for a last one that is not closed."""
    place = 0
    while (start := text.find("<zoom>", place)) >= 0:
        end = text.find("</zoom>", start)
        if end < 0:
            yield None
            return
        yield text[start + len("<zoom>") : end]
        place = end + len("</zoom>")


def _call(payload: str | None) -> ToolCall:
    if payload is None:
        return ToolCall(tool=ZOOM, problem="the call is not closed with </zoom>")
    try:
        value, _ = read_json(payload)
    except ValueError:
        return ToolCall(tool=ZOOM, problem="the call is no JSON")
    if not isinstance(value, Pairs):
        return ToolCall(tool=ZOOM, problem="the call is no JSON object")
    named = dict(value)
    look_for, bbox = _words(named.get("look_for")), _bbox(named.get("bbox_2d"))
    if bbox is None:
        return ToolCall(tool=ZOOM, look_for=look_for, problem="bbox_2d needs four numbers")
    return ToolCall(tool=ZOOM, bbox=bbox, look_for=look_for)


def _evidence(found: AnswerObject) -> tuple[Evidence, ...] | None:
    listed = found.values.get("evidence")
    if not isinstance(listed, list) or isinstance(listed, Pairs):
        return None
    read = tuple(one for one in map(_read_evidence, listed) if one is not None)
    return None if listed and not read else read  # an empty list says that there is no defect


def _read_evidence(value: Any) -> Evidence | None:
    if not isinstance(value, Pairs):
        return None
    named = dict(value)
    bbox, defect = _bbox(named.get("bbox_2d")), _words(named.get("defect"))
    if bbox is None or defect is None:
        return None
    return Evidence(bbox=bbox, defect=defect, severity=_words(named.get("severity")) or "")


def _bbox(value: Any) -> _Bbox | None:
    if not isinstance(value, list) or isinstance(value, Pairs) or len(value) != 4:
        return None
    numbers = [finite_number(coordinate) for coordinate in value]
    x1, y1, x2, y2 = numbers
    return None if x1 is None or y1 is None or x2 is None or y2 is None else (x1, y1, x2, y2)


def _words(value: Any) -> str | None:
    """A text that says something; escapes may spell halves of characters, which no file and no prompt can hold."""
    if not isinstance(value, str) or isinstance(value, WrittenNumber) or not value.strip():
        return None
    return value.encode("utf-8", "replace").decode()


def _well_formed(text: str, found: AnswerObject) -> bool:
    """One thought with words in it, then calls or an answer in strict JSON with exactly their keys, nothing else."""
    start, thought, rest = text.partition("<think>")
    thought, closing, rest = rest.partition("</think>")
    rest = rest.strip()
    if start.strip() or not closing or not thought.strip() or "<think>" in thought + rest:
        return False
    if _CALLS.fullmatch(rest):
        return all(map(_call_fits, _payloads(rest)))
    pairs = found.pairs
    if pairs is None or found.span is None or not (rest.startswith("<answer>") and rest.endswith("</answer>")):
        return False
    if rest[len("<answer>") : -len("</answer>")].strip() != found.text[slice(*found.span)]:
        return False
    named = dict(pairs)
    evidence = named.get("evidence")
    return (
        len(pairs) == len(named)
        and named.keys() == _ANSWER_KEYS
        and isinstance(named["rating"], WrittenNumber)
        and RATING_FORM.fullmatch(named["rating"]) is not None
        and isinstance(evidence, list)
        and not isinstance(evidence, Pairs)
        and all(map(_evidence_fits, evidence))
    )


def _call_fits(payload: str | None) -> bool:
    try:
        value, strict = read_json(payload or "")
    except ValueError:
        return False
    if not strict or not isinstance(value, Pairs):
        return False
    named = dict(value)
    return (
        len(value) == len(named)
        and named.keys() == _CALL_KEYS
        and _words(named["look_for"]) is not None
        and _fractions(named["bbox_2d"])
    )


def _evidence_fits(value: Any) -> bool:
    if not isinstance(value, Pairs):
        return False
    named = dict(value)
    return (
        len(value) == len(named)
        and named.keys() == _EVIDENCE_KEYS
        and _words(named["defect"]) is not None
        and named["severity"] in SEVERITIES
        and _fractions(named["bbox_2d"])
    )


def _fractions(value: Any) -> bool:
    """Four written numbers that bound a part of the image."""
    if not isinstance(value, list) or not all(isinstance(coordinate, WrittenNumber) for coordinate in value):
        return False
    bbox = _bbox(value)
    return bbox is not None and 0 <= bbox[0] < bbox[2] <= 1 and 0 <= bbox[1] < bbox[3] <= 1

"""Reading a generated answer, such as ``<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 3.52, "tool": "final"}</answer>``.

The first ``<answer>{...}</answer>`` of a text counts, in a Markdown fence or not. Its object is read as strict JSON,
then leniently (``lenient_json``). Whatever the text, the only error is ``ProtocolError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from zoom_iqa.base.errors import FailureReason, ProtocolError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.targets import RATING_MAX as RATING_MAX
from zoom_iqa.base.targets import RATING_MIN as RATING_MIN
from zoom_iqa.base.types import ParseFailure, Span
from zoom_iqa.tasks.lenient_json import Pairs, digit_runs, digits_of, finite_number, read_json
from zoom_iqa.tasks.lenient_json import WrittenNumber as WrittenNumber

Tool = Literal["crop", "final"]

TOOLS: tuple[Tool, ...] = ("crop", "final")

_OPENING = re.compile(r"<answer>\s*(?:```(?:json|JSON)?\s*)?(?=\{)")
_CLOSING = re.compile(r"(?<=\})\s*(?:```\s*)?</answer>")
_NO_RATING = re.compile(r"\[[^\[\]]*\]|\b1(?:\.0+)?\s*(?:to|-|–)\s*5(?:\.0+)?(?!\.?\d)")


@dataclass(frozen=True)
class Answer:
    """A fully parsed answer. ``bbox`` is kept as written (fractions or pixels)."""

    bbox: tuple[float, float, float, float]
    rating: float
    tool: Tool

    @property
    def wants_crop(self) -> bool:
        """A crop is asked for unless the tool is final or every coordinate is zero."""
        return self.tool != "final" and any(c != 0 for c in self.bbox)


@dataclass(frozen=True)
class AnswerObject:
    """The first answer's object of a text, parsed once.

    ``span`` is where it stands, braces included. ``pairs`` are its keys and values where it is strict JSON, else None.
    ``values`` are those read leniently, the last of a repeated key; ``failure`` says why there are none.
    """

    text: str
    span: Span | None
    pairs: Pairs | None
    values: Mapping[str, Any]
    failure: ParseFailure | None

    @cached_property
    def numbers(self) -> list[Span]:
        """Every run of digits in its values: box coordinates and rating.

        Digits inside keys (``bbox_2d``) and inside strings that spell no number are left out, and so are signs and
        decimal points, which the format fixes.
        """
        return [] if self.span is None else digit_runs(self.text, *self.span)

    @cached_property
    def rating_digits(self) -> list[Span]:
        """The runs of digits of its rating alone: ``3.52`` gives the spans of ``3`` and ``52``."""
        return [] if self.span is None else digits_of("rating", self.text, *self.span)

    @property
    def deciding_digits(self) -> list[Span]:
        """The runs of digits of its rating where the text first writes it.

        A text that names its rating before the answer ("the score is 3.52") has decided there, and the answer's digits
        are a copy. A number without decimals may stand for anything in a text: there the answer's own count. So they do
        of a negative number, which is another than the one without its sign. A box and a scale ("from 1.00 to 5.00")
        name no rating.
        """
        runs = self.rating_digits
        if len(runs) < 2 or self.text[runs[0][0] - 1] == "-":
            return runs
        written = re.escape(self.text[runs[0][0] : runs[-1][1]])
        before = _NO_RATING.sub(lambda aside: " " * len(aside.group()), self.text[: self.numbers[0][0]])
        named = re.search(rf"(?<![\d.-]){written}(?!\.?\d)", before)
        earlier = 0 if named is None else runs[0][0] - named.start()
        return [(start - earlier, end - earlier) for start, end in runs]

    @property
    def spans(self) -> dict[str, tuple[Span, ...]]:
        """Places of its digits, by name, as a reading holds them."""
        return {
            "numbers": tuple(self.numbers),
            "rating": tuple(self.rating_digits),
            "decided": tuple(self.deciding_digits),
        }

    def written_rating(self) -> float:
        """The rating as it is written, on the scale or off it.

        Raises:
            ProtocolError: reason ``missing_answer``, ``malformed_json`` or ``bad_rating``.
        """
        self._require()
        return _number(self.values.get("rating"), "bad_rating", "rating")

    def rating(self) -> float:
        """The rating, clipped to 1-5.

        Raises:
            ProtocolError: reason ``missing_answer``, ``malformed_json`` or ``bad_rating``.
        """
        return clip_rating(self.written_rating())

    def answer(self) -> Answer:
        """Rating, box and tool: what deciding the next turn needs.

        Raises:
            ProtocolError: see ``parse_answer``.
        """
        rating = self.rating()
        raw_box = self.values.get("bbox_2d")
        if not isinstance(raw_box, list) or len(raw_box) != 4:
            raise ProtocolError("bad_bbox", f"bbox_2d is {shown(raw_box)}; a list of four numbers is needed")
        x1, y1, x2, y2 = (_number(coordinate, "bad_bbox", "a bbox_2d coordinate") for coordinate in raw_box)
        tool = self.values.get("tool")
        if tool not in TOOLS:
            raise ProtocolError("bad_tool", f"tool is {shown(tool)}; one of {', '.join(TOOLS)} is needed")
        return Answer(bbox=(x1, y1, x2, y2), rating=rating, tool=cast(Tool, tool))

    def _require(self) -> None:
        if self.failure is not None:
            raise ProtocolError(self.failure.reason, self.failure.detail)


def clip_rating(rating: float) -> float:
    """The rating, or the end of the scale that it lies beyond."""
    return min(RATING_MAX, max(RATING_MIN, rating))


def rating_values(written: float) -> dict[str, float | str]:
    """The values of a reading that follow from a written rating: the rating and, where it was clipped, the number."""
    rating = clip_rating(written)
    return {"rating": rating} if rating == written else {"rating": rating, "written_rating": written}


def read_values(written_rating: Callable[[], float]) -> tuple[dict[str, float | str], ParseFailure | None]:
    """The values of a reading, or why there are none where reading the rating raises ``ProtocolError``."""
    try:
        return rating_values(written_rating()), None
    except ProtocolError as error:
        return {}, ParseFailure(error.reason, error.detail)


def without_thoughts(text: str) -> str:
    """The text with each closed thought blanked, so that places stay where they are."""
    pieces, place = [], 0
    while (start := text.find("<think>", place)) >= 0 and (end := text.find("</think>", start)) >= 0:
        pieces += [text[place:start], " " * (end + len("</think>") - start)]
        place = end + len("</think>")
    return "".join([*pieces, text[place:]])


def read_object(text: str) -> AnswerObject:
    """Parse the first ``<answer>{...}</answer>`` of a text; any text will do."""
    span = find_answer_object(text)
    if span is None:
        return AnswerObject(
            text, None, None, {}, ParseFailure("missing_answer", "the text has no <answer>{...}</answer>")
        )
    payload = text[slice(*span)]
    try:
        value, strict = read_json(payload)
    except ValueError as error:
        failure = ParseFailure("malformed_json", f"{error} in {shown(payload)}")
        return AnswerObject(text, span, None, {}, failure)
    return _object_of(text, span, value if strict and isinstance(value, Pairs) else None, value)


def parse_answer(text: str) -> Answer:
    """Read box, rating and tool: what deciding the next turn needs.

    ``rating`` is clipped to 1-5 as ``read_rating`` does; ``bbox`` is kept as written. The released evaluation code asks
    for less before it crops (``tasks/released.py``); here such an answer is refused and counted by its reason.

    Raises:
        ProtocolError: reason ``missing_answer``, ``malformed_json``, ``bad_rating``, ``bad_bbox`` or ``bad_tool``; the
            last three also stand for an absent key.
    """
    return read_object(text).answer()


def read_rating(text: str) -> float:
    """Read the rating alone, clipped to 1-5: what scoring needs.

    Raises:
        ProtocolError: reason ``missing_answer``, ``malformed_json`` or ``bad_rating``.
    """
    return read_object(text).rating()


def find_answer_object(text: str) -> Span | None:
    """Place of the object in the first ``<answer>{...}</answer>``, braces included; None if there is none."""
    opening = _OPENING.search(text)
    if opening is None:
        return None
    closing = _CLOSING.search(text, opening.end())
    return None if closing is None else (opening.end(), closing.start())


def _object_of(text: str, span: Span, pairs: Pairs | None, value: Any) -> AnswerObject:
    if not isinstance(value, Pairs):
        failure = ParseFailure("malformed_json", f"the answer is {shown(value)}; an object is needed")
        return AnswerObject(text, span, None, {}, failure)
    return AnswerObject(text, span, pairs, dict(value), None)


def _number(value: Any, reason: FailureReason, name: str) -> float:
    number = finite_number(value)
    if number is None:
        raise ProtocolError(reason, f"{name} is {shown(value)}; a finite number is needed")
    return number


def shown(value: Any) -> str:
    """A value as messages and records show it, cut at 80 characters."""
    text = value if isinstance(value, str) else repr(value)
    return printable(f"{text[:77]}..." if len(text) > 80 else text)

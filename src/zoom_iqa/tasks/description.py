"""The description of an image that a policy has written: its own words without the answer, and without the rating.

H-IQA (arXiv 2512.16484) gives caption and thought to the second pass; a later revision of it gives the caption alone.
A thought often says the rating itself, so that a reader need not judge anything: striking is the check for that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, get_args

from zoom_iqa.base.errors import ConfigError

DescriptionText = Literal["thought", "thoughts", "caption", "caption_think"]
"""The last thought, all thoughts of the trajectory, the last caption, or the last caption with its thought."""

OwnText = DescriptionText | Literal["own"]
"""One of these, or caption and thought in a task that asks for captions and all thoughts in another."""

Strip = Literal["none", "ratings", "ratings_and_grades"]
"""Nothing is struck, numbers that may be ratings are, or grade words too."""

GRADES = ("excellent", "good", "decent", "moderate", "average", "fair", "poor", "bad")
"""Words that stand for a rating: those of the authors' check, and the rest of the five-grade scale of ITU-R BT.500."""

_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)
# a number on 1-5 with or without decimals, "3.2/5" and "4 out of 5" whole; no part of a longer number, word or share
_DIGITS = (
    r"(?<![A-Za-z0-9.,])(?:[1-5](?:\.\d+|,\d{1,2})?(?:\s*(?:/|out of)\s*(?:5(?:\.0+)?|10)(?!\d))?"
    r"|(?:10|\d)(?:\.\d+)?\s*(?:/|out of)\s*10(?!\d)|(?:100|\d{1,2})(?:\.\d+)?\s*(?:/|out of)\s*100)"
    r"(?![A-Za-z0-9%])(?!\.\d|,\d{3})"
)
# the same in words where they can be nothing else: "three point five", "three and a half out of five", "two stars",
# "give it a four"; not "two cats"
_ONE_TO_FIVE = r"(?:one|two|three|four|five)"
_POINT = r"\s+point(?:\s+(?:zero|one|two|three|four|five|six|seven|eight|nine))+"
_PART = rf"(?:{_POINT}|\s+and\s+a\s+half)"
_GIVEN = rf"(?<=\b(?:give|rate)\sit\sa\s){_ONE_TO_FIVE}{_PART}?\b"
_RANGE = rf"(?:{_ONE_TO_FIVE}\s+to\s+)?"
_OF_ALL = r"(?:\s+out\s+of\s+|\s*/\s*)(?:five|ten|5|10)\b"
_WORDS = rf"\b{_RANGE}{_ONE_TO_FIVE}(?:{_PART}?{_OF_ALL}|{_POINT}\b|[\s-]stars?\b)|{_GIVEN}"
_RATING = re.compile(f"{_DIGITS}|{_WORDS}", re.IGNORECASE)
_GRADE = re.compile(rf"\b(?:{'|'.join(GRADES)})\b", re.IGNORECASE)


class Caption(StrEnum):
    """The kinds of captions: each text has one of them."""

    PLAIN = "plain"
    ABSENT = "absent"
    EMPTY = "empty"
    RATED = "rated"


def kind_of_caption(text: str) -> Caption:
    """Absent, empty, holding a number that may be a rating, or plain."""
    found = _CAPTION.search(text)
    if found is None:
        return Caption.ABSENT
    if not found.group(1).strip():
        return Caption.EMPTY
    return Caption.RATED if _RATING.search(found.group(1)) else Caption.PLAIN


def description(texts: Sequence[str], *, text: DescriptionText) -> str | None:
    """The policy's own words from the texts of a trajectory, in order; None where there are none.

    ``caption_think`` needs both: a text that cannot be cut in two describes nothing.
    """
    if text == "thoughts":
        return _joined([_inside(_THOUGHT, one) for one in texts if _inside(_THOUGHT, one)])
    last = texts[-1]
    thought, caption = _inside(_THOUGHT, last), _inside(_CAPTION, last)
    if text == "thought":
        return thought
    if text == "caption":
        return caption
    return f"{caption} {thought}" if caption and thought else None


def struck(words: str, *, strip: Strip) -> str:
    """``words`` without ratings or grade words; what is left may be empty."""
    if strip == "none":
        return words
    without = _RATING.sub(" ", words)
    if strip == "ratings_and_grades":
        without = _GRADE.sub(" ", without)
    return " ".join(without.split())


def shown_words(texts: Sequence[str], *, text: OwnText, strip: Strip, captioned: bool) -> str | None:
    """The words of a trajectory that a reader without the image is shown, or None where none are left.

    ``captioned`` says whether its task asks for captions, which "own" depends on.
    """
    own: DescriptionText = "caption_think" if captioned else "thoughts"
    words = description(texts, text=own if text == "own" else text)
    return None if words is None else struck(words, strip=strip) or None


def check_description(where: str, *, text: str, strip: str) -> None:
    """Pass names that exist.

    Raises:
        ConfigError: one does not.
    """
    for name, value, known in (("text", text, ("own", *get_args(DescriptionText))), ("strip", strip, get_args(Strip))):
        if value not in known:
            raise ConfigError(f"{where}.{name}={value!r}; choose one of {', '.join(known)}")


def _inside(tag: re.Pattern[str], text: str) -> str | None:
    found = tag.search(text)
    return (found.group(1).strip() or None) if found else None


def _joined(parts: Sequence[str | None]) -> str | None:
    return " ".join(part for part in parts if part) or None

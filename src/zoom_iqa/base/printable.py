"""Text from outside (file names, labels, generated answers) as a terminal may show it."""

from __future__ import annotations


def printable(text: str, *, limit: int | None = None) -> str:
    """``text`` on one line: what is no printable character is escaped as in a Python string, ``\\x1b`` for Escape.

    Line ends, control characters, those that turn the direction of writing and halves of characters are all of them.
    A text of more than ``limit`` characters is cut in its middle, which says how many it has.
    """
    if limit is not None and len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}... ({len(text):,} characters) ...{text[len(text) - half :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

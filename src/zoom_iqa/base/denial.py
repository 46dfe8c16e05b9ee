"""Words that say that something is not there: "no blur or noise", "free of halos", "noise-free"."""

from __future__ import annotations

import re

_DENIES = re.compile(
    r"\b(?:no|not(?! only)|never|neither|nor|without|free (?:of|from)|lacks?|lacking|absence of)\b|n['’]t\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[.,;:!?]|\b(?:but|yet|though|while|however)\b", re.IGNORECASE)
_FREE = re.compile(r"\w*[ -]free\b(?! (?:of|from)\b)", re.IGNORECASE)


def is_denied(text: str, *, start: int, end: int) -> bool:
    """Whether what stands at ``text[start:end]`` is said not to be there: behind a denial in its clause, or "-free"."""
    ends = [found.end() for found in _CLAUSE_END.finditer(text, 0, start)]
    clause = text[ends[-1] if ends else 0 : start]
    return _DENIES.search(clause) is not None or _FREE.match(text, end) is not None

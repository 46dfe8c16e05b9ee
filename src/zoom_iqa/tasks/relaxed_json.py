"""The relaxed JSON in which the released evaluation reads what is no JSON: the dialect of ``dirtyjson``.

Unquoted keys, single quotes, ``03.25``, comments, raw line breaks and trailing commas are read; what follows the first
value is not looked at. The library evaluates arithmetic (``+3.25``, ``7/2``) as Python does. Digits and operators run
nothing, but ``9**9**9`` would never end: large powers are refused.
"""

from __future__ import annotations

import re
from typing import Any

from dirtyjson.loader import EQUATION_RE, DirtyJSONLoader, Error

_POWER = "**"
_SMALL_POWER = re.compile(r"\*\*(?:[-+]?[0-9]{1,2}|\([-+]?[0-9]{1,2}\))(?![0-9x(*])")
_CALL = re.compile(r"[0-9)]\(")

# Of the library on a text that it does not understand, and of arithmetic.
_REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError)


class _Loader(DirtyJSONLoader):
    def scan(self) -> Any:
        equation = EQUATION_RE.match(self.content, self.pos)
        if equation is not None and not _may_be_evaluated(equation.group()):
            raise Error("Expression is not evaluated", self.content, self.pos)
        return super().scan()


def loads(payload: str) -> Any:
    """The first value in a text.

    Raises:
        ValueError: there is none in this dialect.
    """
    try:
        return _Loader(payload).decode()
    except _REFUSALS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _may_be_evaluated(equation: str) -> bool:
    """Whether evaluating it ends soon; a number called as a function ends in an error, and Python warns of it."""
    powers = equation.count(_POWER)
    return _CALL.search(equation) is None and (
        powers == 0 or (powers == 1 and _SMALL_POWER.search(equation) is not None)
    )

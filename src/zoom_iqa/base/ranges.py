"""Refuses values out of range by the config key they were given under; ``note`` ends the message, with a remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoom_iqa.base.errors import ConfigError

MOST_ANSWERS = 10_000
"""Answers of one image at a time, which are held at once: more are a slip."""


def require_share(key: str, value: float) -> None:
    """Pass what is from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{key}={value} must be from 0 to 1")


def require_fraction(key: str, value: float, *, note: str = "") -> None:
    """Pass a fraction above 0 and at most 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < value <= 1:
        raise ConfigError(f"{key}={value} must be above 0 and at most 1{_after(note)}")


def require_positive(key: str, value: float, *, note: str = "") -> None:
    """Pass a number above 0.

    Raises:
        ConfigError: it is not, or is infinite or NaN.
    """
    if not 0 < value < math.inf:
        raise ConfigError(f"{key}={value} must be a number above 0{_after(note)}")


def require_positive_or_inf(key: str, value: float, *, inf_means: str) -> None:
    """Pass a number above 0, and infinity.

    Raises:
        ConfigError: it is neither.
    """
    if not value > 0:
        raise ConfigError(f"{key}={value} must be above 0; inf {inf_means}")


def require_not_negative(key: str, value: float, *, note: str = "") -> None:
    """Pass a number of 0 or more, and infinity.

    Raises:
        ConfigError: it is below, or NaN.
    """
    if not value >= 0:
        raise ConfigError(f"{key}={value} must be 0 or more{_after(note)}")


def require_whole(key: str, value: object, *, least: int, note: str = "") -> None:
    """Pass a whole number of at least ``least``.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}={value} must be a whole number of at least {least}{_after(note)}")


def require_answers(key: str, value: object, *, least: int = 1, note: str = "") -> None:
    """Pass a number of answers that an image can be given at once.

    Raises:
        ConfigError: it is none.
    """
    require_whole(key, value, least=least, note=note)
    if isinstance(value, int) and value > MOST_ANSWERS:
        raise ConfigError(f"{key}={value} must be at most {MOST_ANSWERS:,}: so many answers are held at once")


def require_count_or_none(key: str, value: object, *, none_means: str) -> None:
    """Pass a whole number of at least 1, and None.

    Raises:
        ConfigError: it is neither.
    """
    if value is not None:
        require_whole(key, value, least=1, note=f"null {none_means}")


def require_flag(key: str, value: object) -> None:
    """Pass true and false.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value} must be true or false")


def require_one_of(key: str, value: str, options: Sequence[str]) -> None:
    """Pass one of ``options``.

    Raises:
        ConfigError: it is none; the message lists them.
    """
    if value not in options:
        raise ConfigError(f"{key}={value!r}; choose one of {', '.join(options)}")


def _after(note: str) -> str:
    return f"; {note}" if note else ""

"""Refuses numbers out of range by the config key they were given under."""

from __future__ import annotations

import math

from zoom_iqa.base.errors import ConfigError


def require_share(key: str, value: float) -> None:
    """Pass what is from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{key}={value} must be from 0 to 1")


def require_positive(key: str, value: float) -> None:
    """Pass a number above 0.

    Raises:
        ConfigError: it is not, or is infinite or NaN.
    """
    if not 0 < value < math.inf:
        raise ConfigError(f"{key}={value} must be a number above 0")


def require_not_negative(key: str, value: float) -> None:
    """Pass what is 0 or more.

    Raises:
        ConfigError: it is below, or NaN.
    """
    if not value >= 0:
        raise ConfigError(f"{key}={value} must be 0 or more")


def require_whole(key: str, value: object, *, least: int) -> None:
    """Pass a whole number of at least ``least``.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}={value} must be a whole number of at least {least}")


def require_flag(key: str, value: object) -> None:
    """Pass true and false.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value} must be true or false")


def require_count_or_none(key: str, value: object, *, none_means: str) -> None:
    """Pass a whole number of at least 1, and None.

    Raises:
        ConfigError: it is neither.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigError(f"{key}={value} must be a whole number of at least 1; null {none_means}")

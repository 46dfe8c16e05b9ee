"""Settings that several objectives take, and what they may be."""

from __future__ import annotations

from typing import get_args

from zoom_iqa.base.errors import ConfigError


def one_of(key: str, value: str, options: object) -> str:
    """Return ``value`` if it is one of a Literal's options.

    Raises:
        ConfigError: it is not; the message lists them.
    """
    if value not in get_args(options):
        raise ConfigError(f"{key}={value!r}; choose one of {', '.join(get_args(options))}")
    return value


def fraction_of(key: str, value: float) -> float:
    """Return ``value`` if it is a fraction above 0 and at most 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < value <= 1:
        raise ConfigError(f"{key}={value} must be above 0 and at most 1")
    return value

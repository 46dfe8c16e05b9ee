"""Command lines of a few keys, ``KEY=VALUE`` each, that set no config."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import hint


def given_of(arguments: Sequence[str], keys: Collection[str]) -> dict[str, str]:
    """The values by key.

    Raises:
        ConfigError: an argument is no ``KEY=VALUE``, there is no such key, or one is given twice.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or argument.startswith("-"):
            raise ConfigError(f"{argument}: give KEY=VALUE with one of {', '.join(sorted(keys))} (--help)")
        if key not in keys:
            raise ConfigError(f"{key}: there is no such key{hint(key, keys)}")
        if key in given:
            raise ConfigError(f"{key} is given twice; give it once")
        given[key] = value
    return given


def required(given: Mapping[str, str], key: str, usage: str) -> str:
    """The value of a key that must be given.

    Raises:
        ConfigError: it is not, or is empty.
    """
    if not given.get(key):
        raise ConfigError(f"{key} is not given; usage: zoom-iqa {usage}")
    return given[key]


def truth(given: Mapping[str, str], key: str, *, otherwise: bool) -> bool:
    """The value of a flag.

    Raises:
        ConfigError: it is neither true nor false.
    """
    value = given.get(key, str(otherwise).lower())
    if value not in ("true", "false"):
        raise ConfigError(f"{key}={value} must be true or false")
    return value == "true"


def count(given: Mapping[str, str], key: str) -> int | None:
    """The value of a key that takes a whole number above 0; None where it is not given.

    Raises:
        ConfigError: it is no such number.
    """
    if key not in given:
        return None
    if not given[key].isdecimal() or int(given[key]) == 0:
        raise ConfigError(f"{key}={given[key]} must be a whole number above 0")
    return int(given[key])

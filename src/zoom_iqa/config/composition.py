"""Configs from conf/ and from folders of one's own; a key that there is not is one line with those that there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import hint
from zoom_iqa.config.location import conf_dir

_PREFIXES = {OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++", OverrideType.DEL: "~"}
_RENAMED = {"regularizer": "penalties=NAME and penalties.NAME.KEY=VALUE, or filters=clip_cov"}  # of earlier versions
_OVERRIDDEN = re.compile(r"Could not override '([^']+)'\.\s*To append")


def composed(root: str, overrides: Sequence[str]) -> DictConfig:
    """conf/``root``.yaml with ``overrides`` in Hydra's grammar.

    Raises:
        ConfigError: a key that there is not; the message shows those beside it.
    """
    try:
        return _composed(root, overrides)
    except HydraException as error:
        unknown = unknown_key(error, root, overrides)
        if unknown is None:
            raise
        raise unknown from error


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra understands them, quotes and prefixes included."""
    parsed: list[Override] = OverridesParser.create().parse_overrides(list(overrides))
    return parsed


def prefix_of(override: Override) -> str:
    """What stands before an override's key: ``+``, ``++``, ``~`` or nothing."""
    return _PREFIXES.get(override.type, "")


def unknown_key(error: Exception, root: str, overrides: Sequence[str]) -> ConfigError | None:
    """What to say where Hydra could not override a key, from the config that the other overrides make; or None."""
    overridden = _OVERRIDDEN.search(str(error))
    if overridden is None:
        return None
    key = overridden[1]
    others = [_first_choice(override) for override in parsed(overrides) if override.key_or_group != key]
    try:
        node: Any = _composed(root, others)
    except (HydraException, OmegaConfBaseException):
        return None  # something else is wrong as well; the first error will do
    parts = key.split(".")
    if parts[0] in _RENAMED:
        return ConfigError(f"{parts[0]} is now {_RENAMED[parts[0]]}")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            return ConfigError(f"{'.'.join(parts[:depth])} is a value and holds no key {part}")
        if part not in node:
            valid = [str(name) for name in node]
            return ConfigError(f"{'.'.join(parts[: depth + 1])}: there is no such key{hint(part, valid)}")
        node = node._get_node(part)
    return None


def _composed(root: str, overrides: Sequence[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(root, overrides=list(overrides))


def _first_choice(override: Override) -> str:
    """An override of a multirun as that of its first run."""
    line = str(override.input_line)
    if not override.is_choice_sweep():
        return line
    return f"{line.partition('=')[0]}={next(override.sweep_string_iterator())}"

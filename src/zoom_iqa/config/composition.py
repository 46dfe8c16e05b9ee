"""Configs from conf/ and from folders of one's own; a key that there is not is one line with those that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Sweep
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import hint
from zoom_iqa.config.location import conf_dir

_PREFIXES = {OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++", OverrideType.DEL: "~"}
_RENAMED = {  # of earlier versions
    "regularizer": "penalties=NAME and penalties.NAME.KEY=VALUE, or filters=clip_cov",
    "rollout.sampling.max_new_tokens": "max_new_tokens",
    "rollout.sampling": "grpo.module.sampling in training, evaluator.sampling in evaluations",
    "rollout.features_capacity": "machine.features_capacity",
    "engine": "rollout=NAME",
    "advantage": "loss=NAME, and loss.advantage.KEY=VALUE",
    "aggregation": "loss=NAME",
    "machine.devices": "trainer.devices",
    "machine.num_nodes": "trainer.num_nodes",
    "machine.strategy": "trainer.strategy",
    "evaluation": "evaluator=NAME and evaluator.KEY=VALUE",
    "rationales.ratings": "ratings=generator or ratings=truth",
    "rationales": "data.trajectories.writer",
    "scale": "size",
    "data.workers": "machine.workers",
    "data.benchmark": "benchmark",
    "output": "paths.run_dir",
}
_RENAMED_CHOICES = {
    "machine/gpus": "trainer=ddp, and in evaluations machine.devices=NUMBER",
    "trainer/cpu": "machine=cpu",
    "trainer/gpu": "machine=gpu",
}
_NO_NAME = "Config group override must be"
_NO_CHOICE = re.compile(r"Could not find '([^']+)'")
_OVERRIDDEN = re.compile(r"Could not override '([^']+)'\.\s*To append")


def composed(root: str, overrides: Sequence[str]) -> DictConfig:
    """conf/``root``.yaml with ``overrides`` in Hydra's grammar.

    Raises:
        ConfigError: a key that there is not, and the message shows those beside it; or a group without a choice's name.
    """
    try:
        return _composed(root, overrides)
    except (HydraException, ValueError) as error:
        explained = explained_error(error, root, overrides)
        if explained is None:
            raise
        raise explained from error


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra understands them, quotes and prefixes included.

    Raises:
        ConfigError: one has no reading, and the message shows how to quote its value.
    """
    try:
        parsed: list[Override] = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        explained = _unreadable(error.override)
        if explained is None:
            raise
        raise explained from error
    return parsed


def prefix_of(override: Override) -> str:
    """The mark before an override's key: ``+``, ``++``, ``~`` or nothing."""
    return _PREFIXES.get(override.type, "")


def explained_error(error: Exception, root: str, overrides: Sequence[str]) -> ConfigError | None:
    """A message for an error of Hydra's in overrides, by their keys; None where Hydra's own is clear."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if str(error).startswith(_NO_NAME):
        groups = [one for one in parsed(overrides) if (conf_dir() / one.key_or_group).is_dir()]
        for group in groups:
            if not isinstance(group.value(), str | list | Sweep):
                valid = ", ".join(sorted(path.stem for path in (conf_dir() / group.key_or_group).glob("*.yaml")))
                return ConfigError(f"{group.input_line}: {group.key_or_group} takes the name of a choice: {valid}")
    choice = _NO_CHOICE.search(str(error))
    if choice is not None and choice[1] in _RENAMED_CHOICES:
        return ConfigError(f"{choice[1].replace('/', '=')} is now {_RENAMED_CHOICES[choice[1]]}")
    overridden = _OVERRIDDEN.search(str(error))
    return None if overridden is None else _unknown_key(overridden[1], root, overrides)


def _unreadable(override: str) -> ConfigError | None:
    """How to write a value that Hydra's grammar has no reading of."""
    key, equals, value = override.partition("=")
    if not equals:
        return None
    if value.startswith("~"):
        return ConfigError(f"{override}: write $HOME for ~, as in {key}=$HOME{value[1:]}")
    quoted = shlex.quote(f'{key}="{value}"' if '"' not in value else f"{key}='{value}'")
    return ConfigError(f"{override}: this value cannot be read; if it is a text, quote it: {quoted}")


def _unknown_key(key: str, root: str, overrides: Sequence[str]) -> ConfigError | None:
    """The part of a key that there is not, from the config that the other overrides make."""
    others = [_first_choice(override) for override in parsed(overrides) if override.key_or_group != key]
    try:
        node: Any = _composed(root, others)
    except (HydraException, OmegaConfBaseException):
        return None  # something else is wrong as well; the first error will do
    for before, now in _RENAMED.items():
        if f"{key}.".startswith(f"{before}."):
            return ConfigError(f"{before} is now {now}")
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            return ConfigError(f"{'.'.join(parts[:depth])} is a value and holds no key {part}")
        if part not in node:
            valid = [str(name) for name in node if not str(name).startswith("_")]
            said = hint(part, valid) if valid else f", as nothing chosen here fills {'.'.join(parts[:depth])}"
            return ConfigError(f"{'.'.join(parts[: depth + 1])}: there is no such key{said}")
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

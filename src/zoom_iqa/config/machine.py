"""The parts of a config that are about the machine: how the work is done, which changes no result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import hint

Requirement = tuple[str, Callable[[Any], bool]]


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_COUNT: Requirement = ("a whole number of at least 1", lambda value: _whole(value, 1))
_COUNT_OR_NONE: Requirement = ("a whole number of at least 0", lambda value: _whole(value, 0))
_SECONDS: Requirement = ("a number of at least 0", lambda value: isinstance(value, int | float) and value >= 0)
_POSITIVE: Requirement = ("a number above 0", lambda value: isinstance(value, int | float) and value > 0)
_TEXT: Requirement = ("a text", lambda value: isinstance(value, str))
_TEXT_OR_NONE: Requirement = ("a text or null", lambda value: value is None or isinstance(value, str))
_FLAG: Requirement = ("true or false", lambda value: isinstance(value, bool))
_RECOMPUTED: Requirement = ("true, false or offloaded", lambda value: isinstance(value, bool) or value == "offloaded")
_SHARE: Requirement = ("a number from 0 to 1", lambda value: isinstance(value, int | float) and 0 <= value <= 1)
_LIGHTNING: Requirement = ("as Lightning takes it", lambda value: value is not None)  # which checks it

REQUIRED: dict[str, Requirement] = {
    "accelerator": _LIGHTNING,
    "workers": _COUNT_OR_NONE,
    "evaluation_batch_size": _COUNT,
    "token_budget": _COUNT,
    "join_share": _SHARE,
    "cuda_graphs": _FLAG,
    "features_capacity": _COUNT_OR_NONE,
    "image_cache": _COUNT,
    "gradient_checkpointing": _RECOMPUTED,
    "micro_batch_tokens": _COUNT,
    "logit_chunk": _COUNT,
    "engine_timeout_s": _SECONDS,
    "engine_attempts": _COUNT,
    "engine_wait_s": _SECONDS,
    "silent_after_s": _POSITIVE,
    "vllm_url": _TEXT,
    "vllm_push_folder": _TEXT_OR_NONE,
    "vllm_lost_after_s": _POSITIVE,
    "vllm_stalled_after_s": _POSITIVE,
}
OF_EVALUATIONS: dict[str, Requirement] = {"devices": _LIGHTNING, "num_nodes": _COUNT}
"""Further keys of an evaluation: how many processes share its images changes no result."""

SHARE_S = 4 * 3600.0
"""Seconds by which one process's share of a step or an evaluation may outlast another's; a death is told at once."""

PROCESSES = ("accelerator", "strategy", "devices", "num_nodes")
"""The keys of a trainer that say which processes a run has."""


def check_machine(machine: DictConfig, *, required: Mapping[str, Requirement] = REQUIRED) -> None:
    """Pass a ``machine`` of a config whose values can be.

    Raises:
        ConfigError: a key that there is not, one that is absent, or a value that cannot be.
    """
    for key in map(str, machine):
        if key not in required:
            raise ConfigError(f"machine.{key}: there is no such key{hint(key, required)}")
    for key, (needed, passes) in required.items():
        if key not in machine:
            raise ConfigError(f"machine.{key} has no value; set machine.{key}=...")
        if not passes(machine[key]):
            raise ConfigError(f"machine.{key}={machine[key]} must be {needed}")


def patience_s(machine: Mapping[str, Any]) -> float:
    """Seconds that processes of a training wait for each other: one may have to ask every engine it is allowed."""
    attempts = machine["engine_attempts"]
    waits = sum(machine["engine_wait_s"] * 2**number for number in range(attempts - 1))
    return float(attempts * machine["engine_timeout_s"] + waits + SHARE_S)

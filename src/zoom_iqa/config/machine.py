"""The parts of a config that are about the machine: how the work is done, which changes no result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

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

OF_ASKING = (
    "base_url", "key_variable", "concurrency", "requests_per_minute", "timeout_s", "attempts", "longest_wait_s",
    "budget",
)  # fmt: skip
"""The keys of a judge behind a server that say how it is asked, and no result."""


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


def kept_config(cfg: DictConfig, **facts: Any) -> str:
    """The config.yaml of a run: ``cfg`` resolved, but for what comes from ``machine``, and without ``paths`` and
    ``show_config``.

    A value from ``machine`` stays an interpolation, so that its values stand in one place and a run is the same run
    on another machine; which processes a trainer has stands there too, and how a judge's server is asked. The place of
    a run is no part of its identity: it may be moved. ``facts`` are further values that results depend on.
    """
    marked = cfg.copy()
    asking = _asking(cfg)
    names = [*map(str, cfg.machine), *(f"judge.{key}" for key in asking)]
    marks = {f"<machine.{name}>": f"${{machine.{name}}}" for name in names}
    for key in map(str, cfg.machine):
        marked.machine[key] = f"<machine.{key}>"
    for key in asking:
        marked.judge.speaker[key] = f"<machine.judge.{key}>"
    plain: Any = OmegaConf.to_container(marked, resolve=True)
    kept = {
        key: _renamed(value, marks) for key, value in plain.items() if key not in ("machine", "paths", "show_config")
    }
    machine: Any = OmegaConf.to_container(cfg.machine, resolve=True)
    if "trainer" in kept:
        machine["trainer"] = {key: kept["trainer"].pop(key) for key in PROCESSES}
    if asking:
        machine["judge"] = asking
    return OmegaConf.to_yaml(OmegaConf.create({**kept, **facts, "machine": machine}))


def _asking(cfg: DictConfig) -> dict[str, Any]:
    """How the server of a judge of rollouts is asked; nothing where there is none."""
    speaker = OmegaConf.select(cfg, "judge.speaker")
    plain: Any = {} if speaker is None else OmegaConf.to_container(speaker, resolve=True)
    return {key: plain[key] for key in OF_ASKING if key in plain}


def run_folder(cfg: DictConfig, *, name: str, config_yaml: str) -> Path:
    """The folder of an evaluation: ``paths.run_dir``, or a folder that the same ``name`` and config find again."""
    if cfg.paths.run_dir is not None:
        return Path(cfg.paths.run_dir)
    kept = yaml.safe_load(config_yaml)
    kept.pop("machine")
    return Path(cfg.paths.runs) / "evaluate" / f"{name}-{hashlib.sha256(yaml.safe_dump(kept).encode()).hexdigest()[:8]}"


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    return names.get(node, node) if isinstance(node, str) else node


def patience_s(machine: Mapping[str, Any]) -> float:
    """Seconds that processes of a training wait for each other: one may have to ask every engine it is allowed."""
    attempts = machine["engine_attempts"]
    waits = sum(machine["engine_wait_s"] * 2**number for number in range(attempts - 1))
    return float(attempts * machine["engine_timeout_s"] + waits + SHARE_S)

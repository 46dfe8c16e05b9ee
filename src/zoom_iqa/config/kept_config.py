"""The config.yaml of a run, which says what run it is, and the folder that is found again by it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.config.machine import PROCESSES

OF_ASKING = (
    "base_url", "key_variable", "concurrency", "requests_per_minute", "timeout_s", "attempts", "longest_wait_s",
    "budget",
)  # fmt: skip
"""The keys of a judge behind a server that say how it is asked, and no result."""


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

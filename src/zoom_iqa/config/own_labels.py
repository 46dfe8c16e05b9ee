"""Labels of one's own, given as ``manifest=FILE``: looked for at once, and what is taken for granted is said."""

from __future__ import annotations

import math
import os.path
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.printable import printable
from zoom_iqa.config.checks import interpolated
from zoom_iqa.config.location import conf_dir

SUFFIXES = (".csv", ".jsonl", ".json")
KEYS = ("manifest", "range", "direction")
"""The keys of a config that say of them."""


def check(cfg: DictConfig) -> None:
    """Pass a config without a manifest, or with one that is there and of which something is made.

    Raises:
        ConfigError: it is not the name of a file that can be a manifest, there is no such file, nothing reads it, it
            is not given where it is needed, the range is none, or a scale is given and nothing reads that.
    """
    file, is_read = cfg.manifest, "manifest" in interpolated(OmegaConf.to_container(cfg, resolve=False))
    if file is None and is_read:
        raise ConfigError("manifest is not given: name a file with an image and a score column, manifest=FILE")
    if file is None:
        _refuse_alone(cfg)
        return
    if not is_read:
        raise ConfigError(f"manifest={file}: nothing reads it with this data; add {_choice(cfg)}")
    if not isinstance(file, str):
        raise ConfigError(f"manifest={file} must be the name of one file")
    if Path(file).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"manifest={file} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not os.path.isfile(file):
        raise ConfigError(f"manifest={file}: there is no such file; name one with an image and a score column")
    ends = list(cfg.range) if isinstance(cfg.range, ListConfig) else []
    if len(ends) != 2 or not all(map(_is_finite, ends)) or not ends[0] < ends[1]:
        raise ConfigError(f"range={cfg.range} must be the lowest and the highest score there can be, as range=[0,100]")


def _refuse_alone(cfg: DictConfig) -> None:
    read = set(interpolated(OmegaConf.to_container(cfg, resolve=False)))
    for key in _changed(cfg):
        if key not in read:
            added = f"{_choice(cfg)} manifest=FILE".strip()
            raise ConfigError(f"{key}={cfg[key]}: nothing reads it without labels of your own; add {added}")


def _choice(cfg: DictConfig) -> str:
    """The choice that reads a manifest, where a command does not make it from the file's name alone."""
    if "data" in cfg:
        return "data=manifest"
    return "benchmark=manifest" if "benchmark" in cfg else ""


def _changed(cfg: DictConfig) -> list[str]:
    """What was given of the scale."""
    default: Any = OmegaConf.load(conf_dir() / "data/parts/own_labels.yaml")
    return [key for key in KEYS[1:] if cfg[key] != default[key]]


def _is_finite(end: object) -> bool:
    return isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)


def say_what_is_assumed(cfg: DictConfig) -> None:
    """A line on stderr: on which scale the scores of a manifest are taken to be, and how to say so where nobody did."""
    if cfg.manifest is None:
        return
    low, high = cfg.range
    others = "" if _changed(cfg) else " (others: range=[0,100] direction=lower_is_better)"
    scale = f"{low:g} to {high:g}, {cfg.direction.replace('_', ' ')}"
    print(f"{printable(cfg.manifest)}: scores are taken as {scale}{others}", file=sys.stderr)

"""Parts that curation and judging share: who is asked, with which settings, in a folder that keeps to its questions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.ranges import require_flag, require_whole
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.config import own_labels
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.command_line import with_policy
from zoom_iqa.config.composition import composed, parsed
from zoom_iqa.config.machine import check_machine

LARGE = "size=qwen2_5_vl_7b"


def composed_for(root: str, overrides: Sequence[str], *, speaker: str | None) -> DictConfig:
    """conf/``root``.yaml: with a policy in this process its size, with a server a large policy's prompts and lengths.

    ``speaker`` is the package that ``generator`` is chosen for, None for its own.

    Raises:
        ConfigError: an argument is wrong.
    """
    given = parsed(overrides)
    choices = [one.value() for one in given if (one.key_or_group, one.package) == ("generator", speaker)]
    if choices and choices[-1] == "policy":
        return composed(root, with_policy(root, overrides))
    sized = any(one.key_or_group == "size" for one in given)
    return composed(root, overrides if sized else [*overrides, LARGE])


def settled(
    cfg: DictConfig,
    *,
    read: Collection[str],
    deciding: Sequence[str],
    least: Mapping[str, int],
    flags: Sequence[str],
) -> dict[str, Any]:
    """The values of the keys that decide what is asked, from a config that is looked at and then resolved.

    ``least`` are keys of whole numbers with the least that each may be, ``flags`` those that are true or false.

    Raises:
        ConfigError: a value is wrong, or nothing reads a key.
    """
    own_labels.check(cfg)
    check_machine(cfg.machine)
    check_config(cfg)
    check_read(cfg, read=read)
    for key, lowest in least.items():
        require_whole(key, cfg[key], least=lowest)
    for key in flags:
        require_flag(key, cfg[key])
    kept = {
        key: OmegaConf.to_container(cfg[key], resolve=True) if OmegaConf.is_config(cfg[key]) else cfg[key]
        for key in deciding
    }
    own_labels.say_what_is_assumed(cfg)
    OmegaConf.resolve(cfg)
    return kept


def output_price(speaker: DictConfig) -> float | None:
    """The price of a million tokens of answers by a speaker's config; None for a policy in this process."""
    return float(speaker.budget.output_price) if speaker.get("budget") else None


def servers(*speakers: DictConfig | None) -> int:
    """The number of servers among speakers' configs; a policy in this process is none."""
    return sum(speaker is not None and bool(speaker.get("budget")) for speaker in speakers)


def opened(path: str, kept: dict[str, Any], **speakers: str) -> AbstractContextManager[None]:
    """The folder within the block, which holds answers to these questions of these speakers alone.

    Raises:
        ConfigError: it holds others, or cannot be made.
    """
    return RunFolder(Path(path)).opened(OmegaConf.to_yaml(OmegaConf.create({**kept, **speakers})))

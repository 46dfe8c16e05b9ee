"""Limits of trainers, said before there is a policy: strategies that there are, and what each of them trains."""

from __future__ import annotations

import re
from importlib.util import find_spec

from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.placement import FSDP, ZERO_STAGES

_OF_LIGHTNING = re.compile(r"auto|ddp(_\w+)?")


def check_strategy(cfg: DictConfig) -> None:
    """Raise ConfigError for a strategy of Lightning's own that shards: weights are placed by this project."""
    strategy = cfg.trainer.strategy
    if isinstance(strategy, str) and not _OF_LIGHTNING.fullmatch(strategy) and strategy not in (FSDP, *ZERO_STAGES):
        raise ConfigError(
            f"trainer.strategy={strategy}: weights would be copied to every process and not sharded; use trainer=ddp, "
            f"or {', '.join(f'trainer={name}' for name in (FSDP, *ZERO_STAGES))}"
        )


def check_installed(cfg: DictConfig) -> None:
    """Raise ConfigError where the trainer is DeepSpeed's and the package is missing."""
    strategy = cfg.trainer.strategy
    if strategy in ZERO_STAGES and find_spec("deepspeed") is None:
        raise ConfigError(
            f"trainer={strategy} needs DeepSpeed: pip install -c constraints.txt -e '.[deepspeed]', or use trainer=fsdp"
        )


def check_learnable(cfg: DictConfig, stage: str) -> None:
    """Raise ConfigError where a stage asks the trainer to learn something that it does not."""
    strategy = cfg.trainer.strategy
    if cfg.policy.lora is not None and not cfg[stage].module.freeze_vision_tower:
        raise ConfigError(
            f"{stage}.module.freeze_vision_tower=false: with adapters (policy/lora) nothing else is trained; set "
            f"{stage}.module.freeze_vision_tower=true, or policy.lora=null"
        )
    if strategy not in ZERO_STAGES:
        return
    if cfg.policy.lora is not None:
        raise ConfigError(f"trainer={strategy}: it trains no adapters (policy/lora); use trainer=ddp or trainer=fsdp")
    if not cfg[stage].module.freeze_vision_tower:
        raise ConfigError(
            f"{stage}.module.freeze_vision_tower=false: trainer={strategy} trains no vision tower, which runs for new "
            "images alone and so not equally often in all processes; use trainer=ddp or trainer=fsdp"
        )

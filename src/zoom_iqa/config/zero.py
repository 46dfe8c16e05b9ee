"""Limits of ``trainer=deepspeed_zero2`` and ``trainer=deepspeed_zero3``, said before there is a policy."""

from __future__ import annotations

from importlib.util import find_spec

from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.placement import ZERO_STAGES


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
    if strategy not in ZERO_STAGES:
        return
    if cfg.policy.lora is not None:
        raise ConfigError(f"trainer={strategy}: it trains no adapters (policy/lora); use trainer=ddp or trainer=fsdp")
    if not cfg[stage].module.freeze_vision_tower:
        raise ConfigError(
            f"{stage}.module.freeze_vision_tower=false: trainer={strategy} trains no vision tower, which runs for new "
            "images alone and so not equally often in all processes; use trainer=ddp or trainer=fsdp"
        )

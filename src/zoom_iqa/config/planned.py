"""The stages of a training config as settings of a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_count_or_none, require_whole
from zoom_iqa.config.command_line import overrides_of
from zoom_iqa.config.composition import composed
from zoom_iqa.config.machine import check_machine
from zoom_iqa.config.trainer_limits import check_learnable, check_strategy
from zoom_iqa.parallel.placement import FSDP, ZERO_STAGES
from zoom_iqa.planning.shapes import NAMED, PolicyShape, shape_of
from zoom_iqa.planning.work import Settings, Work
from zoom_iqa.policy.folder import most_pixels
from zoom_iqa.training.length import Length

NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TWO_TURNS = ("zoom_iqa.tasks.zoom.ZoomTask", "zoom_iqa.tasks.released.ReleasedZoomTask")
NATIVE = "zoom_iqa.engines.native.engine.NativeEngineRecipe"
MASTERS = "zoom_iqa.learning.master_adamw.MasterAdamW"
OWN_BOUND = 12_845_056
"""Pixels at most of an image by Qwen2.5-VL's own processor."""
CHARACTERS_A_TOKEN = 4
"""Of English text, about."""
TEXT_TOKENS = 700
"""Of prompts that are not in the config."""


def config_of(arguments: Sequence[str]) -> DictConfig:
    """The training config that ``experiment=NAME`` and overrides make.

    Raises:
        ConfigError: an argument is wrong, or the config trains nothing.
    """
    overrides = [f"+{one}" if one.startswith("experiment=") else one for one in overrides_of(arguments)]
    cfg = composed("train", overrides)
    OmegaConf.resolve(cfg)
    return cfg


def settings_of(cfg: DictConfig, *, gpus: int, new_tokens: int | None) -> list[Settings]:
    """The settings of each stage on so many GPUs, with turns of ``new_tokens`` instead of the limit.

    Raises:
        ConfigError: a value cannot be, or the policy's shape is not known.
    """
    if cfg.task._target_ not in TWO_TURNS:
        raise ConfigError(
            "task: a plan counts the tokens of two turns; task=zoom plans the same experiment with these, which for a "
            "task of more is a lower bound"
        )
    check_machine(cfg.machine)
    require_count_or_none("policy.max_pixels", cfg.policy.max_pixels, none_means="takes the processor's own bound")
    require_whole("max_new_tokens", cfg.max_new_tokens, least=1)
    if new_tokens is not None and new_tokens > cfg.max_new_tokens:
        raise ConfigError(f"new_tokens={new_tokens} is above the limit of a turn, max_new_tokens={cfg.max_new_tokens}")
    shape, pixels = _policy(cfg)
    if cfg.policy.dtype not in NUMBER_BYTES:
        raise ConfigError(f"policy.dtype={cfg.policy.dtype}: choose one of {', '.join(NUMBER_BYTES)}")
    return [_stage(cfg, str(name), shape, pixels, gpus, new_tokens or cfg.max_new_tokens) for name in cfg.stages]


def _stage(cfg: DictConfig, name: str, shape: PolicyShape, pixels: int, gpus: int, new_tokens: int) -> Settings:
    if not isinstance(cfg.get(name), DictConfig) or "module" not in cfg[name]:
        raise ConfigError(f"stages: no stage is named {name!r}")
    check_strategy(cfg)
    check_learnable(cfg, name)
    _check_counts(cfg, name)
    zero = ZERO_STAGES.get(cfg.trainer.strategy, 0) if gpus > 1 else 0
    node, samples, lora = cfg[name], "engine" in cfg[name].module, cfg.policy.lora
    if samples and cfg.rollout._target_ != NATIVE:
        raise ConfigError(
            "rollout: a plan counts the native engine, which reads the weights that are trained; rollout=native plans "
            "the same run, to which rollout=vllm adds weights and a whole cache of its own"
        )
    image = shape.image_tokens(pixels)
    batches = node.data.accumulate
    work = Work(
        images=node.data.batch_size * (batches if samples else 1),  # a rollout has all images of its step at once
        group=node.module.group_size if samples else 1,
        prompt=_text_tokens(cfg, "turn1") + image,
        image_tokens=image,
        second_prompt=_text_tokens(cfg, "turn2") + new_tokens + 2 * image,
        new_tokens=new_tokens,
    )
    if samples and cfg.machine.token_budget < work.longest:
        raise ConfigError(
            f"machine.token_budget={cfg.machine.token_budget} holds no sequence of {name}, which has up to "
            f"{work.longest} tokens; give that at least"
        )
    tower = not node.module.freeze_vision_tower
    whole = shape.text_parameters + (shape.tower_parameters if tower else 0)
    epochs, parts = (node.module["update"].epochs, node.module["update"].mini_batches) if samples else (1, 1)
    return Settings(
        stage=name,
        shape=shape,
        work=work,
        gpus=gpus,
        trained=whole if lora is None else shape.adapter_parameters(rank=lora.rank, targets=list(lora.targets)),
        adapters=lora is not None,
        number_bytes=NUMBER_BYTES[cfg.policy.dtype],
        cut=gpus > 1 and (cfg.trainer.strategy == FSDP or zero == 3),
        zero=zero,
        deepspeed=cfg.trainer.strategy in ZERO_STAGES,
        masters=node.module.optimizer._target_ == MASTERS or zero > 0,
        reference=samples and lora is None and instantiate(node.module["update"]).needs_reference,
        samples=samples,
        accumulate=1 if samples else batches,
        epochs=epochs,
        updates=epochs * parts,
        tower=tower,
        checkpointing=bool(cfg.machine.gradient_checkpointing),
        micro_batch_tokens=cfg.machine.micro_batch_tokens,
        token_budget=cfg.machine.token_budget,
        logit_chunk=cfg.machine.logit_chunk,
        keep_checkpoints=node.keep_checkpoints,
        steps=_steps(cfg, name, per_step=node.data.batch_size * batches * gpus),
    )


def _check_counts(cfg: DictConfig, name: str) -> None:
    node = cfg[name]
    require_whole(f"{name}.data.batch_size", node.data.batch_size, least=1)
    require_whole(f"{name}.data.accumulate", node.data.accumulate, least=1)
    require_whole(f"{name}.keep_checkpoints", node.keep_checkpoints, least=1)
    if "group_size" in node.module:
        require_whole(f"{name}.module.group_size", node.module.group_size, least=1)


def _steps(cfg: DictConfig, name: str, *, per_step: int) -> int | None:
    """Steps of a stage; None where epochs say it, whose length the data decide."""
    given = {key: cfg[name][key] for key in ("steps", "epochs", "images")}
    try:
        length = Length(**given, otherwise_images=cfg.size[name].images)
    except ConfigError as error:
        raise ConfigError(f"{name}.{error}") from error
    return None if length.epochs is not None else length.in_steps(samples=0, per_step=per_step)


def _text_tokens(cfg: DictConfig, turn: str) -> int:
    text = OmegaConf.select(cfg, f"prompts.{turn}")
    return -(-len(text) // CHARACTERS_A_TOKEN) if isinstance(text, str) else TEXT_TOKENS


def _policy(cfg: DictConfig) -> tuple[PolicyShape, int]:
    """The policy's shape, and the pixels of an image at most."""
    path = str(cfg.policy.path)
    if path in NAMED:
        return NAMED[path], cfg.policy.max_pixels or OWN_BOUND
    try:
        shape = shape_of(_json(Path(path) / "config.json"))
        pixels = cfg.policy.max_pixels or most_pixels(Path(path)) or OWN_BOUND
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"policy.path={path}: its shape is not known ({' '.join(str(error).split())}); name a folder of a "
            f"Qwen2.5-VL, or one of {', '.join(NAMED)}"
        ) from error
    return shape, int(pixels)


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

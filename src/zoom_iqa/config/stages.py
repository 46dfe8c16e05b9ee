"""The stages of a run from its config."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import check_target
from zoom_iqa.config.machine import PROCESSES
from zoom_iqa.config.trainer_limits import check_installed, check_learnable, check_strategy
from zoom_iqa.training.stage import Stage
from zoom_iqa.training.strategy import joining_strategy

_LENGTH = "give the stage's length by steps=, epochs= or images= of it, such as sft.steps=100"
SET_ELSEWHERE = {
    "accumulate_grad_batches": "modules accumulate by themselves: sft.accumulate=",
    "gradient_clip_val": "modules clip by themselves: sft.module.max_grad_norm=, grpo.module.max_grad_norm=",
    **dict.fromkeys(
        ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches", "overfit_batches",
         "fast_dev_run"), _LENGTH
    ),
    **dict.fromkeys(("val_check_interval", "check_val_every_n_epoch"), "callbacks=validation validates"),
    "logger": "choose logger=",
    "callbacks": "choose callbacks=, or +callbacks.NAME=",
    "enable_progress_bar": "~callbacks.progress takes the bar away",
    "log_every_n_steps": "every step is logged",
    "default_root_dir": "paths.run_dir=",
    "use_distributed_sampler": "the stage shares its samples out by itself",
    "enable_checkpointing": "sft.checkpoint_every=, grpo.checkpoint_every=",
    "plugins": "the stage has its own way to files",
}  # fmt: skip
"""Keys of Lightning's Trainer that a stage sets or does without, and what to give instead."""


def stage_names(cfg: DictConfig) -> list[str]:
    """The nodes of a config that can be run as stages."""
    return [str(key) for key, node in cfg.items() if isinstance(node, DictConfig) and "module" in node]


def make_stage(name: str, cfg: DictConfig) -> Stage:
    """Everything of a stage that is cheap: all but the policy.

    Raises:
        ConfigError: there is no such stage, or a value of its config is wrong.
    """
    if name not in stage_names(cfg):
        raise ConfigError(f"stages: no stage is named {name!r}; choose from {', '.join(stage_names(cfg))}")
    node = cfg[name]
    return Stage(
        name=name,
        recipe=instantiate(node.module),
        data=instantiate(node.data),
        trainer=instantiate(_checked_trainer(name, cfg)),
        callbacks=[instantiate(callback) for callback in cfg.callbacks.values()],
        images=node.data.batch_size * node.data.accumulate,
        checkpoint_every=node.checkpoint_every,
        keep_checkpoints=node.keep_checkpoints,
        seed=cfg.seed,
    )


def _checked_trainer(name: str, cfg: DictConfig) -> DictConfig:
    """The run's trainer with what the stage sets of it."""
    node = cfg[name]
    for key in PROCESSES:
        if key in node.trainer:
            given = f"{name}.trainer.{key}={node.trainer[key]}"
            raise ConfigError(f"{given}: all stages run in the same processes; set trainer.{key} instead")
    trainer = DictConfig({**cfg.trainer, **node.trainer, "strategy": joining_strategy(cfg.trainer.strategy)})
    for key in ("checkpoint_every", "keep_checkpoints"):
        if not isinstance(node[key], int) or node[key] < 1:
            raise ConfigError(f"{name}.{key}={node[key]} must be at least 1")
    check_target(f"{name}.trainer", trainer)
    check_strategy(cfg)
    check_installed(cfg)
    check_learnable(cfg, name)
    for key, instead in SET_ELSEWHERE.items():
        if trainer.get(key) is not None:
            raise ConfigError(f"{name}.trainer.{key}: it would do nothing or cut the stage short; {instead}")
    return trainer

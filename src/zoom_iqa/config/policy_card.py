"""The model card of a run's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.types import Message
from zoom_iqa.config.location import conf_dir
from zoom_iqa.policy.card import card_files
from zoom_iqa.policy.loading import is_hub_id

USUAL_TASK = "zoom"
"""Of an evaluation that names none."""


def policy_card(
    cfg: DictConfig,
    figures: Mapping[str, Mapping[str, Any]],
    *,
    dataset: str,
    prompt: Sequence[Message],
    config_yaml: str,
    adapter: bool,
) -> dict[str, str]:
    """The files that lie beside the weights, by name: card, example and config.

    ``figures`` are those of the run's stages on ``dataset``; ``prompt`` is the one that the example asks with, and
    ``adapter`` says that the weights are an adapter's alone.
    """
    return card_files(
        name=cfg.name,
        start=cfg.policy.path,
        is_hub_id=is_hub_id(str(cfg.policy.path)),
        dataset=dataset,
        figures=figures,
        prompt=prompt,
        task=task_to_choose(cfg),
        adapter=adapter,
        max_new_tokens=cfg.max_new_tokens,
        upright=cfg.upright,
        config_yaml=config_yaml,
    )


def task_to_choose(cfg: DictConfig) -> str | None:
    """The choice of the run's task, NAME for one of its own; None for the one that evaluations take by themselves."""
    for path in sorted((conf_dir() / "task").glob("*.yaml")):
        choice: Any = OmegaConf.load(path)
        if choice["_target_"] == cfg.task["_target_"]:
            return None if path.stem == USUAL_TASK else path.stem
    return "NAME"

"""The model card of a run's policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.policy.card import card_files


def policy_card(
    cfg: DictConfig, evaluator: Evaluator, metrics: Mapping[str, Mapping[str, Any]], *, config_yaml: str
) -> dict[str, str]:
    """The files that lie beside the weights, by name: card, example and config."""
    return card_files(
        name=cfg.name,
        start=cfg.policy.path,
        is_hub_id=not Path(cfg.policy.path).exists(),
        dataset=f"{len(evaluator.examples):,} of {evaluator.dataset_name}",
        figures=metrics,
        prompt=evaluator.first_prompt(),
        max_new_tokens=cfg.max_new_tokens,
        config_yaml=config_yaml,
    )

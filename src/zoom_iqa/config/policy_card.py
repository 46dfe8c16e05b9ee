"""The model card of a run's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from zoom_iqa.base.types import Message
from zoom_iqa.policy.card import card_files


def policy_card(
    cfg: DictConfig,
    figures: Mapping[str, Mapping[str, Any]],
    *,
    dataset: str,
    prompt: Sequence[Message],
    config_yaml: str,
) -> dict[str, str]:
    """The files that lie beside the weights, by name: card, example and config.

    ``figures`` are those of the run's stages on ``dataset``; ``prompt`` is the one that the example asks with.
    """
    return card_files(
        name=cfg.name,
        start=cfg.policy.path,
        is_hub_id=not Path(cfg.policy.path).exists(),
        dataset=dataset,
        figures=figures,
        prompt=prompt,
        max_new_tokens=cfg.max_new_tokens,
        upright=cfg.upright,
        config_yaml=config_yaml,
    )

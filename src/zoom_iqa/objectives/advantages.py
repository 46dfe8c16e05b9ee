"""Group-relative advantages (GRPO, arXiv 2402.03300): a response is judged against its own group.

Shapes: B images, G responses each.
"""

from __future__ import annotations

import math

import torch

from zoom_iqa.base.errors import ConfigError


def group_advantages(rewards_BG: torch.Tensor, *, normalize_std: bool, eps: float) -> torch.Tensor:
    """Reward minus the group's mean, divided by the group's standard deviation + eps if asked; shape (B, G).

    The deviation is the unbiased one (G - 1), as in TRL and verl, so that learning rates carry over. A group of equal
    rewards gets exactly 0, whatever the rounding of its mean; so does a group of one. It is computed in float64, where
    squares of large rewards stay finite, and has the rewards' type (float32 of whole numbers).
    """
    kept = rewards_BG.dtype if rewards_BG.is_floating_point() else torch.float32
    rewards_BG = rewards_BG.double()
    advantages_BG = rewards_BG - rewards_BG.mean(1, keepdim=True)
    constant_B1 = rewards_BG.amax(1, keepdim=True) == rewards_BG.amin(1, keepdim=True)
    if normalize_std:
        variance_B1 = advantages_BG.square().sum(1, keepdim=True) / max(rewards_BG.shape[1] - 1, 1)
        advantages_BG = advantages_BG / (variance_B1.sqrt() + eps)
    return torch.where(constant_B1, torch.zeros_like(advantages_BG), advantages_BG).to(kept)


class GroupAdvantages:
    """``group_advantages`` with its settings; without the deviation it is Dr. GRPO's (arXiv 2503.20783)."""

    def __init__(self, *, normalize_std: bool, eps: float) -> None:
        if not 0 <= eps < math.inf:
            raise ConfigError(f"advantage.eps={eps} must be a number of 0 or more")
        self._normalize_std = normalize_std
        self._eps = eps

    def __call__(self, rewards_BG: torch.Tensor) -> torch.Tensor:
        """Return the advantages, shape (B, G)."""
        return group_advantages(rewards_BG, normalize_std=self._normalize_std, eps=self._eps)

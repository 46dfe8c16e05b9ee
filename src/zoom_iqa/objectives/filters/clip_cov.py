"""Clip-Cov (Cui et al. 2025, arXiv 2505.22617): a few tokens of high covariance take no part in the policy gradient."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_fraction
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.token_covariance import (
    count_of,
    gathered_covariance,
    generator_of,
    random_mask,
    selection_figures,
)
from zoom_iqa.parallel.reducer import Reducer


class ClipCov(TokenFilter):
    """Drop a random ``fraction`` of all tokens (at least one) among those with covariance in [low, high].

    The draw depends on ``seed``, the rollout and the mini-batch only, and is the same on every process.
    """

    def __init__(self, *, fraction: float, low: float, high: float, seed: int) -> None:
        if not low < high:
            raise ConfigError(f"filters.clip_cov.low={low} must be below filters.clip_cov.high={high}")
        require_fraction("filters.clip_cov.fraction", fraction)
        self._fraction, self._low, self._high, self._seed = fraction, low, high, seed

    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Draw the tokens to drop; keep the others."""
        covariance = gathered_covariance(tokens, mark=None, reducer=reducer)
        candidates_N = (covariance.cov_N >= self._low) & (covariance.cov_N <= self._high)
        generator = generator_of(self._seed, step=step, mini_batch=mini_batch)
        mask_N = random_mask(candidates_N, count=count_of(self._fraction, len(candidates_N)), generator=generator)
        figures = {"candidates": float(candidates_N.sum()), **selection_figures(covariance, mask_N)}
        return ~mask_N[covariance.own], figures

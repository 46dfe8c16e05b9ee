"""A control for filters that choose: of the tokens written after a look, a random share of each response's learns.

Beside Evidence Gradient Filtering of crops (``view`` coarse_crop or no_crop) with the same ``top`` it keeps as many
tokens of every response, and knows nothing of them: a gain that it shows, too, is none of the choice.

Legend: M tokens of one optimizer step on this process, N those of all processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from zoom_iqa.base.ranges import require_fraction
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.filters.evidence import top_of_each
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.token_covariance import generator_of
from zoom_iqa.objectives.views import NoCrop, hidden_mark
from zoom_iqa.parallel.reducer import Reducer

_AFTER = "no_crop"
"""The view whose mark says which tokens come after a look; nothing is forwarded under it."""


class RandomShare(TokenFilter):
    """Keeps a random ``top`` share of each response's tokens written after a look, and all before it.

    The draw depends on ``seed``, the rollout, the mini-batch and a token's place in the batch only.

    Raises:
        ConfigError: ``top`` is no share.
    """

    views = MappingProxyType({_AFTER: NoCrop()})
    needs = frozenset({"looks"})

    def __init__(self, *, top: float, seed: int) -> None:
        require_fraction("filters.random_share.top", top)
        self._top, self._seed = top, seed

    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Draw the tokens to keep."""
        after_M = tokens.mark(hidden_mark(_AFTER))
        rows_N, offset = reducer.gather(after_M.double())
        generator = generator_of(self._seed, step=step, mini_batch=mini_batch)
        drawn_N = torch.rand(len(rows_N), generator=generator, dtype=torch.float64)
        drawn_M = drawn_N[offset : offset + len(tokens)]
        keep_M = top_of_each(drawn_M, tokens.trajectory_M, among_M=after_M, share=self._top) | ~after_M
        counts = reducer.sum(torch.tensor([keep_M.sum(), (~keep_M).sum()], dtype=torch.float64))
        return keep_M, {"kept": counts[0].item(), "dropped": counts[1].item()}

"""The protocol of filters: a filter takes tokens out of the policy gradient, over the whole batch, before it is cut.

Legend: M tokens of one optimizer step on this process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from zoom_iqa.objectives.signals import Signal
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import View
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.tasks.task import Given


class TokenFilter(ABC):
    """Says which tokens the policy gradient flows through. Of several filters, a token must pass all.

    The value of the policy loss and the weights of the other tokens stay as they are, and penalties do not ask filters.
    ``signals`` are the passes it reads beside the old policy's log-probabilities, each over all tokens; ``views`` are
    the views of the prompt that they name, by name. ``needs`` are the parts of a trajectory that it chooses by. One
    that keeps something of earlier steps gives ``state_dict`` and ``load_state_dict``: it is saved and resumed.
    """

    signals: frozenset[Signal] = frozenset()
    views: Mapping[str, View] = MappingProxyType({})
    needs: frozenset[Given] = frozenset()

    @abstractmethod
    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the mask (M,) of tokens that keep their gradient, and figures over all processes for the log.

        ``step`` and ``mini_batch`` count as for a penalty's plan: rollouts, and parts of a rollout, from 0. Every
        process must call this at the same time.
        """

    def advantage_factors(self, tokens: TokenBatch, *, reducer: Reducer) -> Tensor:
        """Factors (M,) of the advantages in the policy loss, 1 unless a filter shapes them; of several the product.

        Every process must call this at the same time, after ``keep``.
        """
        return torch.ones_like(tokens.weights_M)

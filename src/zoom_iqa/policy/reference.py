"""The reference policy: the policy a stage started from, frozen."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from zoom_iqa.policy.logprobs import PromptCompletion, Scorer, TokenScores
from zoom_iqa.policy.lora import adapters_off
from zoom_iqa.policy.policy import Policy


def frozen_copy(policy: Policy) -> Policy:
    """A copy whose weights never change; tokenizer, image processor and preprocessed images are shared."""
    reference = copy.copy(policy)
    reference.model = copy.deepcopy(policy.model).requires_grad_(False).eval()
    return reference


class AdapterlessScorer:
    """Scores under a policy with its adapters switched off: where they alone are trained, that is the reference."""

    def __init__(self, *, scorer: Scorer, policy: Policy) -> None:
        self._scorer, self._policy = scorer, policy

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenScores:
        """Score without adapters; for passes without gradient."""
        with adapters_off(self._policy.model):
            return self._scorer(samples, entropy=entropy, select_S=select_S)

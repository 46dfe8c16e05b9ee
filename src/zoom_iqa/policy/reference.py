"""The reference policy: the policy a stage started from, frozen."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion, TokenLogProbs
from zoom_iqa.policy.lora import adapter_weights, swapped_adapters
from zoom_iqa.policy.policy import Policy


def frozen_copy(policy: Policy) -> Policy:
    """A copy whose weights never change; tokenizer, image processor and preprocessed images are shared."""
    reference = copy.copy(policy)
    reference.model = copy.deepcopy(policy.model).requires_grad_(False).eval()
    return reference


class StartAdaptersLikelihood:
    """Scores under the adapters a policy had when this was made: where they alone are trained, that is the reference.

    Not simply without adapters: after a stage of fine-tuning that would be the model before it.
    """

    def __init__(self, *, likelihood: Likelihood, policy: Policy) -> None:
        self._likelihood, self._model = likelihood, policy.model
        self._start = {name: weight.detach().clone() for name, weight in adapter_weights(policy.model).items()}

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        """Score; for passes without gradient."""
        with swapped_adapters(self._model, self._start):
            return self._likelihood(samples, entropy=entropy, select_S=select_S)

    def passes_more(self, own: int) -> int:
        """As the likelihood's."""
        return self._likelihood.passes_more(own)

    def idle(self) -> Tensor:
        """As the likelihood's."""
        return self._likelihood.idle()

"""Passes that an update asks of a policy beyond the pass it learns from: log-probabilities of the generated tokens.

A filter or penalty names the signals it reads; the update makes each once, before the first optimizer step and
without gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weights = Literal["policy", "reference"]
"""Whose: those of the policy as it enters the update, or of the frozen one the stage started from."""

SAMPLED = "sampled"
"""Name of the log-probabilities the sampler recorded. They take no pass, and are the same however work is cut."""
SHOWN = "shown"
"""Name of the view that was sampled from."""


@dataclass(frozen=True)
class Signal:
    """Log-probabilities of generated tokens, or whole distributions at them, under some weights and view of the prompt.

    ``view`` names the prompts that the tokens are put after: those that were sampled from, or others that the token
    table holds, such as prompts in which an image is hidden. Signals over ``all`` tokens are there when filters and
    penalties choose tokens; those at the ``selected`` ones, which cost less, when penalties become a loss.

    Raises:
        ValueError: distributions are asked for at all tokens.
    """

    weights: Weights
    view: str = SHOWN
    tokens: Literal["all", "selected"] = "all"
    distributions: bool = False

    def __post_init__(self) -> None:
        if self.distributions and self.tokens == "all":
            raise ValueError("distributions at all tokens are as large as all logits; ask for tokens='selected'")

    @property
    def name(self) -> str:
        """The name of its log-probabilities; the same for all signals of these weights and this view."""
        whose = "old" if self.weights == "policy" else "reference"
        return whose if self.view == SHOWN else f"{whose}/{self.view}"


OLD = Signal("policy")
"""Those of the policy that sampled: the denominator of the ratio. Always there, from the sampler or from a pass."""
REFERENCE = Signal("reference", tokens="selected")
"""Those of the reference at the tokens that are penalised."""

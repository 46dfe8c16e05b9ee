"""The generated tokens of one optimizer step as filters and penalties see them.

Legend: M tokens of one optimizer step on this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NUMBERS = "numbers"
"""Name of the mark of tokens that hold digits of numbers inside the answer."""
DECIDED = "decided"
"""Name of the mark of tokens that hold digits of the rating where the text first writes it: others are copies."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenBatch:
    """All generated tokens of one optimizer step on this process, concatenated; every tensor has shape (M,).

    ``trajectory_M`` says which trajectory of this process a token belongs to. ``weights_M`` come from an Aggregation.
    ``marks`` are named masks; ``signals`` named log-probabilities in nats, among them ``sampled`` and ``old``.
    """

    trajectory_M: Tensor
    advantages_M: Tensor
    weights_M: Tensor
    marks: Mapping[str, Tensor]
    signals: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        own = {name: getattr(self, name) for name in ("trajectory_M", "advantages_M", "weights_M")}
        shapes = {name: tuple(values.shape) for name, values in {**own, **self.marks, **self.signals}.items()}
        if len(set(shapes.values())) != 1 or len(shapes["weights_M"]) != 1:
            raise ValueError(f"a token batch needs flat vectors of one length; got {shapes}")

    def __len__(self) -> int:
        return len(self.weights_M)

    def mark(self, name: str) -> Tensor:
        """A mask by its name.

        Raises:
            ValueError: there is none of that name.
        """
        return _named("mark", name, self.marks)

    def signal(self, name: str) -> Tensor:
        """Log-probabilities by their name.

        Raises:
            ValueError: there are none of that name.
        """
        return _named("signal", name, self.signals)

    def at(self, tokens: Tensor | slice) -> TokenBatch:
        """Some of the tokens (indices, mask or slice)."""
        return TokenBatch(
            trajectory_M=self.trajectory_M[tokens],
            advantages_M=self.advantages_M[tokens],
            weights_M=self.weights_M[tokens],
            marks={name: mask[tokens] for name, mask in self.marks.items()},
            signals={name: logp[tokens] for name, logp in self.signals.items()},
        )


def _named(kind: str, name: str, there: Mapping[str, torch.Tensor]) -> torch.Tensor:
    if name not in there:
        raise ValueError(f"the tokens have no {kind} {name!r}; there are {', '.join(sorted(there)) or 'none'}")
    return there[name]

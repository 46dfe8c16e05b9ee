"""The rule by which tokens are drawn: a run's default, or one request's own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """The rule by which tokens are drawn.

    ``top_k`` 0 and ``top_p`` 1 leave the distribution whole; ``greedy`` takes the most probable token and ignores the
    rest. A generation ends at an end-of-turn token, after any of ``stop_strings``, or at ``max_new_tokens``.

    Raises:
        ConfigError: a value is out of its range.
    """

    temperature: float
    top_p: float
    top_k: int
    greedy: bool
    max_new_tokens: int
    stop_strings: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop_strings", tuple(self.stop_strings))
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"sampling.temperature={self.temperature} must be above 0; argmax is greedy=true")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampling.top_p={self.top_p} must be above 0 and at most 1 (1 keeps every token)")
        if self.top_k < 0:
            raise ConfigError(f"sampling.top_k={self.top_k} must be 0 (keeps every token) or more")
        if self.max_new_tokens < 1:
            raise ConfigError(f"sampling.max_new_tokens={self.max_new_tokens} must be at least 1")
        if "" in self.stop_strings:
            raise ConfigError("sampling.stop_strings holds an empty text, which would end every generation; remove it")

    def require_unbiased(self) -> None:
        """Refuse what would make policy-gradient ratios wrong: tokens drawn from less than the scored distribution.

        Raises:
            ConfigError: naming each key in the way.
        """
        wrong = [
            f"grpo.module.sampling.{name}={value} (needs {needed})"
            for name, value, needed in (
                ("top_p", self.top_p, 1.0),
                ("top_k", self.top_k, 0),
                ("greedy", self.greedy, False),
            )
            if value != needed
        ]
        if wrong:
            raise ConfigError(
                f"{', '.join(wrong)}: log-probabilities are over the whole vocabulary, so ratios would be biased"
            )

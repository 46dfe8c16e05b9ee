"""The rule by which tokens are drawn: a run's default, or one request's own."""

from __future__ import annotations

from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_fraction, require_positive, require_whole


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
        require_positive("sampling.temperature", self.temperature, note="argmax is greedy=true")
        require_fraction("sampling.top_p", self.top_p, note="1 keeps every token")
        require_whole("sampling.top_k", self.top_k, least=0, note="0 keeps every token")
        require_whole("sampling.max_new_tokens", self.max_new_tokens, least=1)
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

"""The log-probabilities of the policy that sampled a rollout: the sampler's own, or those of one more pass.

An engine computes in another order and perhaps another precision than the update, so its log-probabilities are off by
a gap. The pass that would remove it costs a forward of the whole rollout.

Legend: T generated tokens of the rollout batch.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from zoom_iqa.base.ranges import require_not_negative, require_one_of, require_whole
from zoom_iqa.parallel.reducer import Reducer


class OldPolicy(Protocol):
    """Chooses the old log-probabilities of each rollout."""

    def wants_pass(self, step: int) -> bool:
        """Whether rollout ``step`` (from 0) has to be scored once more before it is learned from."""
        ...

    def choose(
        self, sampled_T: Tensor, recomputed_T: Tensor | None, *, step: int, reducer: Reducer
    ) -> tuple[Tensor, dict[str, float]]:
        """The log-probabilities (T,) to use, in nats, and what to log; ``recomputed_T`` is there if a pass was made."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state that a continued run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        ...


class SamplerCheck:
    """The sampler's own log-probabilities while they are within ``tolerance`` of recomputed ones, else those.

    Measured on the first rollout and on each ``every``-th; the verdict holds until the next measurement. The gap is
    the mean over tokens of |recomputed - sampled|, in nats: to first order it bounds what wrong ratios add to the
    loss, and unlike the maximum it does not grow with the number of tokens, of which in 16 bits a few are always far
    off. Of several processes the one with the largest gap decides for all.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, *, tolerance: float, every: int) -> None:
        require_not_negative("update.sampler_check.tolerance", tolerance, note="it is in nats")
        require_whole("update.sampler_check.every", every, least=1, note="it counts rollouts")
        self._tolerance, self._every = tolerance, every
        self._trusted: bool | None = None  # not measured yet

    def wants_pass(self, step: int) -> bool:
        """True if a measurement is due, and always while the gap is too large."""
        return self._due(step) or not self._trusted

    def choose(
        self, sampled_T: Tensor, recomputed_T: Tensor | None, *, step: int, reducer: Reducer
    ) -> tuple[Tensor, dict[str, float]]:
        """Measure if due, then follow the verdict. Every process must call it."""
        figures: dict[str, float] = {}
        if self._due(step):
            assert recomputed_T is not None, "a measurement needs the pass it asked for"
            gap = (recomputed_T.double() - sampled_T.double()).abs().mean()
            gaps, _ = reducer.gather(gap[None])
            figures["policy/sampler_gap_mean"] = gaps.max().item()
            self._trusted = figures["policy/sampler_gap_mean"] <= self._tolerance  # false for NaN
        if self._trusted:
            return sampled_T, {**figures, "policy/old_recomputed": 0.0}
        assert recomputed_T is not None, "without trust there is a pass"
        return recomputed_T, {**figures, "policy/old_recomputed": 1.0}

    def state_dict(self) -> dict[str, Any]:
        """The verdict in force."""
        return {"trusted": self._trusted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the verdict."""
        self._trusted = state["trusted"]

    def _due(self, step: int) -> bool:
        return self._trusted is None or step % self._every == 0


class Always:
    """The same for every rollout, whatever the gap: recomputed log-probabilities, or the sampler's own."""

    def __init__(self, *, recomputed: bool) -> None:
        self._recomputed = recomputed

    def wants_pass(self, step: int) -> bool:
        """All or none."""
        return self._recomputed

    def choose(
        self, sampled_T: Tensor, recomputed_T: Tensor | None, *, step: int, reducer: Reducer
    ) -> tuple[Tensor, dict[str, float]]:
        """The choice of the config."""
        if not self._recomputed:
            return sampled_T, {"policy/old_recomputed": 0.0}
        assert recomputed_T is not None, "the pass was asked for"
        return recomputed_T, {"policy/old_recomputed": 1.0}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


def old_policy(choice: str, *, check: SamplerCheck) -> OldPolicy:
    """The rule that ``update.old_logp`` names; ``check`` is used by ``measured`` alone.

    Raises:
        ConfigError: there is no such choice.
    """
    choices: dict[str, OldPolicy] = {
        "measured": check,
        "sampled": Always(recomputed=False),
        "recomputed": Always(recomputed=True),
    }
    require_one_of("update.old_logp", choice, list(choices))
    return choices[choice]

"""The rollouts of training that are kept: the best and the worst of every so many steps, as records."""

from __future__ import annotations

from collections.abc import Sequence

from zoom_iqa.base.ranges import require_whole
from zoom_iqa.base.records import Record, record_of
from zoom_iqa.base.types import RolloutGroup
from zoom_iqa.objectives.rewards.rubric import Rewards


class RolloutRecorder:
    """Picks ``keep`` rollouts of highest and ``keep`` of lowest reward at every ``every``-th step, from step 0 on.

    So N steps keep at most 2 keep (1 + (N - 1) // every) records, of the first process.

    Raises:
        ConfigError: a number is below 1.
    """

    def __init__(self, *, every: int, keep: int) -> None:
        require_whole("grpo.module.recorder.every", every, least=1)
        require_whole("grpo.module.recorder.keep", keep, least=1)
        self._every, self._keep = every, keep

    def pick(self, groups: Sequence[RolloutGroup], rewards: Rewards, *, step: int) -> list[Record]:
        """The records of this step with their reward terms, best first; none where no step is due."""
        if step % self._every:
            return []
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        total_N = rewards.total_BG.flatten()
        order = total_N.argsort(descending=True, stable=True).tolist()
        chosen = dict.fromkeys([*order[: self._keep], *order[-self._keep :]])
        size = rewards.total_BG.shape[1]
        return [
            record_of(
                rollouts[n],
                rewards={"total": total_N[n].item(), **_terms(rewards, *divmod(n, size))},
                step=step,
            )
            for n in chosen
        ]


def _terms(rewards: Rewards, image: int, response: int) -> dict[str, float]:
    """The terms of one response, without those it does not have."""
    return {
        name: term_BG[image, response].item()
        for name, term_BG in rewards.terms.items()
        if name not in rewards.present or rewards.present[name][image, response]
    }

"""A curriculum of three rungs, for tests of its ladder and of what keeps its state."""

from __future__ import annotations

from support.written_rollouts import PROMPTS
from zoom_iqa.objectives.rewards.curriculum import PerceptualCurriculum, Rung, Tolerance
from zoom_iqa.tasks.zoom import ZoomTask


class SilentTask(ZoomTask):
    """Says that answers may list evidence, and none does."""

    gives = frozenset({"looks", "evidence"})


SILENT = SilentTask(prompts=PROMPTS)

GATE = {"pass_at": 0.6, "open_below": 0.4}


def ladder(*, memory: float = 0.0, **given: object) -> PerceptualCurriculum:
    """Weights 1, 2, 3 and 4 from naming to ranking; any setting can be given otherwise."""
    settings = {
        "weight": 1.0,
        "rungs": {
            "name": Rung(weight=1.0, **GATE),
            "locate": Rung(weight=2.0, **GATE),
            "rate": Rung(weight=3.0, **GATE),
        },
        "rank_weight": 4.0,
        "passed_share": 0.5,
        "waiting_share": 0.25,
        "memory": memory,
        "tolerance": Tolerance(widest=1.0, narrowest=0.35, factor=0.5),
        "rank_eps": 1e-6,
    }
    return PerceptualCurriculum(**{**settings, **given})  # type: ignore[arg-type]

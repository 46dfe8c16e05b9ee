"""A part of an objective that needs what no trajectory of a task has is refused, with a remedy that works."""

from __future__ import annotations

import pytest

from support.made_curriculum import ladder
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.filters.evidence import EvidenceFilter
from zoom_iqa.objectives.filters.random_share import RandomShare
from zoom_iqa.objectives.rewards.curriculum import LookBonus
from zoom_iqa.objectives.rewards.rubric import Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm
from zoom_iqa.tasks.caption_reason import CaptionReasonTask
from zoom_iqa.tasks.chain import ChainTask
from zoom_iqa.tasks.compare import CompareTask
from zoom_iqa.tasks.released import ReleasedZoomTask
from zoom_iqa.tasks.task import Task, check_given
from zoom_iqa.tasks.zoom import ZoomTask

LOOKS, EVIDENCE = frozenset({"looks"}), frozenset({"evidence"})


class OwnTask:
    """Somebody's, which says nothing of what it gives."""


@pytest.mark.parametrize(
    ("kind", "looks", "evidence"),
    [
        (ChainTask, True, True),
        (ZoomTask, True, False),
        (ReleasedZoomTask, True, False),
        (CaptionReasonTask, False, False),
        (CompareTask, False, False),
        (OwnTask, True, True),
    ],
)
def test_what_each_task_gives(kind: type[Task], looks: bool, evidence: bool) -> None:
    task = kind.__new__(kind)
    for key, needed, fits, remedy in (
        ("filters.evidence", LOOKS, looks, "task=zoom or task=chain"),
        ("reward.curriculum", EVIDENCE, evidence, "task=chain"),
    ):
        if fits:
            check_given(task, {"reward.format": frozenset(), key: needed})
            continue
        with pytest.raises(ConfigError, match=rf"^{key} .*use {remedy}, or drop it with ~{key}$"):
            check_given(task, {"reward.format": frozenset(), key: needed})


def test_what_parts_need() -> None:
    terms = {"format": FormatTerm(weight=1.0), "ladder": ladder()}
    look = LookBonus(weight=1.0, tolerance=0.5, bound=0.8, most=3)
    assert Rubric(terms={**terms, "look": look}).needs == {"reward.ladder": EVIDENCE, "reward.look": LOOKS}
    for view, needed in (("coarse_crop", LOOKS), ("no_crop", LOOKS), ("blank_image", frozenset())):
        assert EvidenceFilter(view=view, top=0.4, most_nats=1.0, shaping=None).needs == needed  # type: ignore[arg-type]
    assert RandomShare(top=0.4, seed=0).needs == LOOKS
    assert ClipCov(fraction=0.1, low=0.0, high=1.0, seed=0).needs == frozenset()

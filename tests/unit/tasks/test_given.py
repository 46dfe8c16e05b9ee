"""A part of an objective that needs what no trajectory of a task has is refused, with a remedy that works."""

from __future__ import annotations

import pytest

from support.made_curriculum import ladder
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.filters.evidence import EvidenceFilter
from zoom_iqa.objectives.filters.random_share import RandomShare
from zoom_iqa.objectives.penalties.kl_at_answer_digits import KLCoverage
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.rewards.looks import LookBonus
from zoom_iqa.objectives.rewards.rubric import Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm
from zoom_iqa.tasks.caption_reason import CaptionReasonTask
from zoom_iqa.tasks.chain import ChainTask
from zoom_iqa.tasks.compare import CompareTask
from zoom_iqa.tasks.released import ReleasedZoomTask
from zoom_iqa.tasks.task import Task, check_given
from zoom_iqa.tasks.zoom import ZoomTask

LOOKS, EVIDENCE, RATINGS = (frozenset({part}) for part in ("looks", "evidence", "ratings"))


class OwnTask:
    """Somebody's, which says nothing of what it gives."""


@pytest.mark.parametrize(
    ("kind", "looks", "evidence", "ratings"),
    [
        (ChainTask, True, True, True),
        (ZoomTask, True, False, True),
        (ReleasedZoomTask, True, False, True),
        (CaptionReasonTask, False, False, True),
        (CompareTask, False, False, False),
        (OwnTask, True, True, True),
    ],
)
def test_what_each_task_gives(kind: type[Task], looks: bool, evidence: bool, ratings: bool) -> None:
    task = kind.__new__(kind)
    for key, needed, fits, remedy in (
        ("filters.evidence", LOOKS, looks, "task=zoom or task=chain"),
        ("reward.curriculum", EVIDENCE, evidence, "task=chain"),
        ("penalties.kl_coverage", RATINGS, ratings, "task=zoom or task=chain"),
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


def test_a_penalty_on_digits_needs_them_and_others_do_not() -> None:
    held = KLCoverage(beta=0.1, fraction=0.1, digits="answer", anchor="reference", divergence="exact")
    assert (held.needs, KLReference.needs) == (RATINGS, frozenset())

"""Records of answers with evidence about images whose defect is known, put together by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.types import Ending, Evidence, Look, ParseFailure, Reading, Region, Truth, rated_example
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.parallel.reducer import LocalReducer, Reducer

REGION: Region = (0.0, 0.0, 0.5, 0.4)
LOCAL = Truth(distortion="motion_blur", level=4.0, region=REGION)
ALL_OVER = Truth(distortion="jpeg", level=4.0, region=None)
PRISTINE = Truth(distortion=None, level=1.0, region=None)
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


def judged(
    truth: Truth | None,
    *,
    rating: float | None = 3.0,
    evidence: Sequence[tuple[Region, str]] | None = (),
    looks: Sequence[Region] = (),
    mos: float = 3.0,
    name: str = "a",
    sample: int = 0,
) -> Record:
    listed = None if evidence is None else tuple(Evidence(bbox=b, defect=d, severity="mild") for b, d in evidence)
    failure = ParseFailure("missing_answer", "") if rating is None else None
    last = Reading(
        values={} if rating is None else {"rating": rating}, well_formed=True, failure=failure, evidence=listed
    )
    first = Reading(well_formed=True, failure=ParseFailure("missing_answer", ""))
    seen = tuple(Look(box=(0, 0, 1, 1), region=look) for look in looks)
    steps = (
        RecordedStep(text="", tokens=1, finish="stop", reading=first, looks=seen),
        RecordedStep(text="", tokens=1, finish="stop", reading=last),
    )
    example = replace(rated_example(id=name, dataset="d", mos=mos), truth=truth)
    return Record(example=example, sample=sample, steps=steps, ending=Ending.FINAL)


def inputs_of(*groups: Sequence[Record], reducer: Reducer | None = None) -> RewardInputs:
    return RewardInputs(tuple(map(tuple, groups)), reducer or LocalReducer())

"""How well the evidence of an answer fits the known defect of an image: its name, and its place.

Both are ours, for chains after the abstract of Q-DeepSight (arXiv 2604.16858). Only images that were made have a truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoom_iqa.base.defects import likeness
from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.records import Record
from zoom_iqa.base.regions import WHOLE, area, common, coverage, is_fractions, overlap
from zoom_iqa.base.types import Region, Truth

HIT_SHARE = 0.5
"""A look hits a region if it holds at least this share of it."""


def truth_of(record: Record) -> Truth | None:
    """The known defect of the record's image."""
    return record.example.truth


def evidence_of(record: Record) -> tuple[Evidence, ...] | None:
    """The evidence that counts, the last step's; None where the answer gives none that can be read."""
    return record.steps[-1].reading.evidence


def naming(record: Record) -> float | None:
    """The mean likeness of the defects named to the true one, in [0, 1]; None where the truth is not known.

    Of an image without a defect no evidence is right. An answer without readable evidence names nothing.
    """
    return _compared(record, _likeness)


def locating(record: Record) -> float | None:
    """Intersection over union of the boxes given and the true region, in [0, 1]; None where the truth is not known.

    A defect all over an image has the whole image as its region. Of an image without a defect no evidence is right.
    """
    return _compared(record, lambda truth, evidence: overlap(truth.region or WHOLE, boxes_of(evidence)))


def _compared(record: Record, measure: Callable[[Truth, Sequence[Evidence]], float]) -> float | None:
    truth, evidence = truth_of(record), evidence_of(record)
    if truth is None:
        return None
    if evidence is None:
        return 0.0
    if truth.distortion is None or not evidence:
        return float(truth.distortion is None and not evidence)
    return measure(truth, evidence)


def _likeness(truth: Truth, evidence: Sequence[Evidence]) -> float:
    assert truth.distortion is not None, "an image with a defect"
    return sum(likeness(one.defect, truth.distortion) for one in evidence) / len(evidence)


def boxes_of(evidence: Sequence[Evidence]) -> list[Region]:
    """The boxes that are fractions, cut at the image's border; one in pixels, as a call's may be, says nothing."""
    fractions = [common(one.bbox, WHOLE) for one in evidence if is_fractions(one.bbox)]
    return [bbox for bbox in fractions if area(bbox) > 0]


def looks_of(record: Record) -> list[Region]:
    """The regions shown, in order."""
    return [look.region for step in record.steps for look in step.looks if look.region is not None]


def hits(region: Region, look: Region) -> bool:
    """Whether a look holds at least ``HIT_SHARE`` of a region."""
    return coverage(region, [look]) >= HIT_SHARE

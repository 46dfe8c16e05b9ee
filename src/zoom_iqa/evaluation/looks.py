"""Records -> figures of where a policy looked, what it gave as evidence, and how both fit what is known to be wrong.

Only images that were made have a truth; the figures are undefined for others. They are ours, for chains of looks.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from zoom_iqa.base.records import Record
from zoom_iqa.base.regions import coverage
from zoom_iqa.base.types import Region
from zoom_iqa.metrics.evidence import boxes_of, evidence_of, hits, locating, looks_of, naming, truth_of
from zoom_iqa.metrics.undefined import mean_or_reason

_PLACES = 33  # on each axis, of a box that is put down by chance


def look_figures(records: Sequence[Record]) -> dict[str, Any]:
    """JSON-safe figures over trajectories, each counted alike; looks are counted where the defect is in one region.

    Evidence that cannot be read is wrong evidence. Where no answer gives any, as in tasks that ask for none, its
    figures are undefined.
    """
    pairs = [(region, look) for record in records if (region := _region(record)) for look in looks_of(record)]
    judged = records if any(evidence_of(record) is not None for record in records) else ()
    names = [name for record in judged if (name := naming(record)) is not None]
    regional = [(region, record) for record in judged if (region := _region(record))]
    no_look, no_evidence = "no look at an image with a known region", "no evidence about a known defect"
    return {
        "turns_per_image": statistics.fmean(len(record.steps) for record in records),
        "looks_per_image": statistics.fmean(len(looks_of(record)) for record in records),
        "look_hit_rate": mean_or_reason([hits(region, look) for region, look in pairs], no_look),
        "look_hit_rate_by_chance": mean_or_reason([chance_of_a_hit(region, look) for region, look in pairs], no_look),
        "defect_accuracy": mean_or_reason([name == 1 for name in names], no_evidence),
        "defect_family_accuracy": mean_or_reason([name > 0 for name in names], no_evidence),
        "evidence_coverage": mean_or_reason([_covered(region, record) for region, record in regional], no_evidence),
        "evidence_iou": mean_or_reason([locating(record) or 0.0 for _, record in regional], no_evidence),
    }


def chance_of_a_hit(region: Region, look: Region) -> float:
    """The share of places at which a box of the look's size would hit, on a grid over the image."""
    width, height = look[2] - look[0], look[3] - look[1]
    steps = [number / (_PLACES - 1) for number in range(_PLACES)]
    places = [(x * (1 - width), y * (1 - height)) for x in steps for y in steps]
    return sum(hits(region, (x, y, x + width, y + height)) for x, y in places) / len(places)


def _region(record: Record) -> Region | None:
    truth = truth_of(record)
    return None if truth is None else truth.region


def _covered(region: Region, record: Record) -> float:
    return coverage(region, boxes_of(evidence_of(record) or ()))

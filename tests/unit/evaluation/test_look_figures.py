"""Looks and evidence against a known defect, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.types import Ending, Look, Reading, Region, Truth, rated_example
from zoom_iqa.evaluation.looks import chance_of_a_hit, look_figures
from zoom_iqa.evaluation.table import print_table

REGION = (0.0, 0.0, 0.5, 0.4)
LOCAL = Truth(distortion="motion_blur", level=4.0, region=REGION)
ALL_OVER = Truth(distortion="jpeg", level=4.0, region=None)
PRISTINE = Truth(distortion=None, level=1.0, region=None)


def made(truth: Truth | None, looks: list[Region], evidence: list[tuple[Region, str]] | None) -> Record:
    listed = None if evidence is None else tuple(Evidence(bbox=b, defect=d, severity="mild") for b, d in evidence)
    seen = tuple(Look(box=(0, 0, 1, 1), region=look) for look in looks)
    steps = [
        RecordedStep(text="", tokens=1, finish="stop", reading=Reading(well_formed=True), looks=seen),
        RecordedStep(text="", tokens=1, finish="stop", reading=Reading(well_formed=True, evidence=listed)),
    ]
    example = replace(rated_example(id="a", dataset="d", mos=3.0), truth=truth)
    return Record(example=example, sample=0, steps=tuple(steps), ending=Ending.FINAL)


RECORDS = [
    # hits with its second look; names the family; evidence covers the half of the region, and nothing else
    made(LOCAL, [(0.5, 0.5, 1.0, 1.0), (0.0, 0.0, 1.0, 0.2)], [((0.0, 0.0, 0.25, 0.4), "blur")]),
    # two names of which one is right; evidence is everything
    made(LOCAL, [], [((0.0, 0.0, 1.0, 1.0), "motion blur"), ((0.0, 0.0, 0.5, 0.4), "noise")]),
    made(ALL_OVER, [(0.0, 0.0, 0.5, 0.5)], [((0.0, 0.0, 1.0, 1.0), "blocking")]),
    made(PRISTINE, [], []),
    made(PRISTINE, [], [((0.0, 0.0, 1.0, 1.0), "blur")]),
    made(LOCAL, [], None),
    made(None, [(0.0, 0.0, 0.5, 0.5)], [((0.0, 0.0, 1.0, 1.0), "blur")]),
]


def test_figures_by_hand() -> None:
    figures = look_figures(RECORDS)
    assert figures["turns_per_image"] == 2.0
    assert figures["looks_per_image"] == pytest.approx(4 / 7)
    assert figures["look_hit_rate"] == 0.5
    assert figures["defect_accuracy"] == pytest.approx(2 / 6)  # the third and the fourth
    assert figures["defect_family_accuracy"] == pytest.approx(4 / 6)
    assert figures["evidence_coverage"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert figures["evidence_iou"] == pytest.approx((0.5 + 0.2 + 0.0) / 3)


def test_a_look_hits_by_its_share_of_the_region() -> None:
    """The whole image holds the region, of which a patch inside it holds a fifth."""
    assert look_figures([made(LOCAL, [(0.0, 0.0, 1.0, 1.0)], None)])["look_hit_rate"] == 1.0
    assert look_figures([made(LOCAL, [(0.1, 0.1, 0.3, 0.3)], None)])["look_hit_rate"] == 0.0


def test_a_look_hits_by_chance_as_often_as_its_size_lets_it() -> None:
    assert chance_of_a_hit(REGION, (0.0, 0.0, 1.0, 1.0)) == 1.0
    assert chance_of_a_hit(REGION, (0.0, 0.0, 0.2, 0.2)) == 0.0  # 0.04 of 0.2
    # half of the width must be shared at full height: 0.25 of 0.5 free places on x; all of 0.6 that y has, up to 0
    strip = (0.0, 0.0, 0.5, 1.0)
    assert chance_of_a_hit(REGION, strip) == pytest.approx(0.5, abs=0.04)


def test_without_truth_or_evidence_there_are_no_figures() -> None:
    figures = look_figures([made(None, [], None), made(None, [(0.0, 0.0, 1.0, 1.0)], None)])
    assert figures["looks_per_image"] == 0.5
    assert figures["look_hit_rate"] == "undefined (no look at an image with a known region)"
    assert figures["defect_accuracy"] == "undefined (no evidence about a known defect)"
    zoomed = look_figures([made(LOCAL, [REGION], None)])
    assert zoomed["look_hit_rate"] == 1.0
    assert zoomed["evidence_coverage"] == "undefined (no evidence about a known defect)"


def test_the_table_of_a_run_shows_evidence_where_there_is_any(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"sft": look_figures(RECORDS)}, Path("run"))
    assert "looks and evidence" in capsys.readouterr().out
    print_table({"sft": look_figures([made(None, [], None)])}, Path("run"))
    assert "looks and evidence" not in capsys.readouterr().out

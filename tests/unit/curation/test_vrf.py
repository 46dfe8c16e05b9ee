"""VRF: answers that are alike with and without the image refuse a trajectory, by any or all of three tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.types import Region
from zoom_iqa.curation.verification import (
    Answer,
    Verification,
    VerificationCodec,
    VisualReliance,
)

TENTHS, HALF_OF_IT = (0.1, 0.3, 0.7, 0.9), (0.1, 0.0, 0.5, 0.9)
LEFT, RIGHT, MOST = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 0.75, 1.0)


def answer(rating: float | None, bbox: Region | None = None, entropy: float | None = None) -> Answer:
    return Answer(rating=rating, bbox=bbox, entropy=entropy, finish="stop", text="")


def pair(one: Answer, other: Answer) -> Verification:
    return Verification(dataset="d", id="a", sample=0, with_image=one, without_image=other)


def published(refuse_when: Literal["any", "all"] = "any", **changed: Any) -> VisualReliance:
    return VisualReliance(**{"refuse_when": refuse_when, "rating": 0.05, "iou": 0.5, "entropy": 0.01, **changed})


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (answer(3.0), answer(3.04), {"rating": True}),
        (answer(3.0), answer(3.05), {"rating": False}),  # 3.05 - 3.0 is below 0.05 in floats
        (answer(3.1), answer(3.05), {"rating": False}),  # and 3.1 - 3.05 above
        (answer(3.0), answer(3.049), {"rating": True}),
        (answer(3.0, LEFT), answer(4.0, MOST), {"rating": False, "box": True}),
        (answer(3.0, RIGHT), answer(4.0, MOST), {"rating": False, "box": False}),
        (answer(3.0, LEFT), answer(4.0, (0.0, 0.0, 1.0, 1.0)), {"rating": False, "box": False}),  # half of it
        (answer(3.0, TENTHS), answer(4.0, HALF_OF_IT), {"rating": False, "box": False}),  # 0.5000000000000001
        (answer(3.0, LEFT), answer(4.0, None), {"rating": False}),
        (answer(3.0, None, 0.5), answer(4.0, None, 0.509), {"rating": False, "entropy": True}),
        (answer(3.0, None, 0.5), answer(4.0, None, 0.52), {"rating": False, "entropy": False}),
        (answer(3.0, None, 0.5), answer(4.0, None, None), {"rating": False}),
        (answer(3.0), answer(None), {}),
    ],
)
def test_a_test_needs_both_values(one: Answer, other: Answer, alike: dict[str, bool]) -> None:
    assert published().alike(pair(one, other)) == alike


def test_any_and_all() -> None:
    rating_alone = pair(answer(3.0, LEFT), answer(3.01, RIGHT))
    both = pair(answer(3.0, LEFT), answer(3.01, LEFT))
    neither = pair(answer(3.0, LEFT), answer(4.0, RIGHT))
    assert [published("any").reason(one) for one in (rating_alone, both, neither)] == [
        "alike_rating",
        "alike_rating_and_box",
        None,
    ]
    assert [published("all").reason(one) for one in (rating_alone, both, neither)] == [
        None,
        "alike_rating_and_box",
        None,
    ]


def test_an_answer_that_cannot_be_read_verifies_nothing() -> None:
    assert published().reason(pair(answer(None), answer(3.0))) == "unverified"
    assert published().reason(pair(answer(3.0), answer(None))) is None  # without the image there is no answer


def test_a_test_can_be_left_out() -> None:
    assert published(rating=None).reason(pair(answer(3.0), answer(3.0))) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"refuse_when": "some"}, "vrf.refuse_when=some must be any or all"),
        ({"iou": -1.0}, r"vrf.iou=-1\.0 must be 0 or more"),
        ({"iou": 1.0}, r"vrf.iou=1\.0 must be below 1"),
        ({"iou": float("nan")}, "vrf.iou=nan must be 0 or more"),
        ({"rating": float("nan")}, "vrf.rating=nan must be 0 or more"),
        ({"rating": None, "iou": None, "entropy": None}, "give one, or vrf=none"),
    ],
)
def test_wrong_values_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        published(**changed)


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    kept = [pair(answer(3.0, LEFT, 0.25), answer(None)), dataclasses.replace(pair(answer(1.0), answer(2.0)), id="b")]
    file = RecordFile(tmp_path / "vrf.jsonl", VerificationCodec())
    file.write(kept)
    assert file.read() == tuple(kept)

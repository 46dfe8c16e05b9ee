"""Records keep of a trajectory all but tokens and pixels, and say so again when they are read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from support.made_rollouts import reading, record, rollout, step
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.records import RecordCodec, record_of
from zoom_iqa.base.types import (
    Ending,
    Example,
    ImageRef,
    Look,
    Mos,
    ParseFailure,
    Preference,
    Reading,
    ToolCall,
    Truth,
    rated_example,
)

EXAMPLE = rated_example(id="x", dataset="d", mos=2.5, mos_std=0.25, path="x.png", split="test", reference_id="ref")
FAILED = ParseFailure("bad_rating", "nan")


def test_what_was_clipped_is_kept_and_an_older_line_has_nothing_of_it() -> None:
    made = record("a", rating=7.2)
    made = replace(made, example=replace(made.example, target=Mos(mean=5.0, clipped=True)))
    fields = RecordCodec().encode(made)
    assert (fields["rating"], fields["mos_clipped"], fields["steps"][0]["values"]["written_rating"]) == (5.0, True, 7.2)
    again = RecordCodec().decode(fields)
    assert again.clipped
    assert again.example.target == Mos(mean=5.0, clipped=True)
    del fields["mos_clipped"]
    older = RecordCodec().decode(fields).example.target
    assert isinstance(older, Mos)
    assert not older.clipped


@pytest.mark.parametrize(("ratings", "clipped"), [((6.0, 4.0), False), ((4.0, 6.0), True)])
def test_what_was_clipped_is_the_rating_that_counts(ratings: tuple[float, float], clipped: bool) -> None:
    made = rollout(EXAMPLE, *map(step, ratings))
    assert (made.clipped, record_of(made).clipped) == (clipped, clipped)


def test_the_expected_rating_is_kept_and_an_older_line_has_none() -> None:
    expected = RatingDistribution(mean=3.25, std=0.5, mass=0.875)
    fields = RecordCodec().encode(replace(record("a"), expected=expected))
    assert fields["expected"] == {"mean": 3.25, "std": 0.5, "mass": 0.875}
    assert RecordCodec().decode(fields).expected == expected
    assert RecordCodec().encode(record("a"))["expected"] is None
    del fields["expected"]
    assert RecordCodec().decode(fields).expected is None


def test_what_is_kept_of_a_trajectory() -> None:
    made = rollout(EXAMPLE, step(3.0, box=(1, 2, 30, 40), token_ids=(1, 2, 3)), step(4.25, token_ids=(1,)), index=3)
    found = record_of(made, seconds=1.23456)
    assert (found.example, found.sample, found.seconds) == (EXAMPLE, 3, 1.2346)
    assert (found.rating, found.failure, found.well_formed, found.cropped) == (4.25, None, True, True)
    assert [one.tokens for one in found.steps] == [3, 1]
    assert found.steps[0].looks == (Look(box=(1, 2, 30, 40)),)


def test_a_trajectory_without_a_rating_says_why() -> None:
    found = record_of(rollout(EXAMPLE, step(FAILED), ending=Ending.BAD_RATING))
    assert (found.rating, found.failure) == (None, "bad_rating")
    assert not found.cropped
    assert found.ending.failure == "bad_rating"


def test_every_part_of_a_record_comes_back() -> None:
    """Several images, a preference, references, truth, calls, refusals, probes and rewards."""
    example = Example(
        id="pair",
        dataset="sr",
        images=(ImageRef(path="a.png"), ImageRef(path="b.png", view="half")),
        target=Preference(choice="Image B"),
        references=("B is sharper.", "A rings."),
        truth=Truth(distortion="jpeg", level=2.5, region=(0.1, 0.2, 0.3, 0.4)),
    )
    call = ToolCall(tool="crop", bbox=(0.0, 0.5, 1.0, 1e300))
    seen = Reading(
        values={"choice": "Image A"},
        calls=(call,),
        well_formed=False,
        call_failure=ParseFailure("bad_bbox", "out of the image"),
    )
    made = replace(
        rollout(
            example, replace(step(3.0), reading=seen, looks=(Look(refusal="too small"),)), ending=Ending.TURN_LIMIT
        ),
        probes={"again": (rollout(EXAMPLE, step(2.0)), rollout(EXAMPLE, step(FAILED)))},
    )
    found = record_of(made, rewards={"total": 1.5, "rank": 0.25}, step=7, seconds=0.5)
    codec = RecordCodec()
    assert codec.decode(json.loads(json.dumps(codec.encode(found)))) == found
    assert codec.key(found) == (7, "sr", "pair", 0)


def test_places_of_digits_are_not_kept() -> None:
    located = replace(reading(3.5), spans={"rating": ((1, 2),)})
    codec = RecordCodec()
    found = codec.decode(codec.encode(record_of(rollout(EXAMPLE, replace(step(3.5), reading=located)))))
    assert found.steps[0].reading == reading(3.5)


@pytest.mark.parametrize("missing", ["id", "steps", "ending", "images"])
def test_a_field_that_is_missing_is_an_error(missing: str) -> None:
    codec = RecordCodec()
    fields = codec.encode(record_of(rollout(EXAMPLE, step(3.5))))
    del fields[missing]
    with pytest.raises(KeyError, match=missing):
        codec.decode(fields)

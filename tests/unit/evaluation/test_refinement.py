"""The loop keeps the best, stops without gain and never hands back an image judged worse than its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from support.made_assessments import answer, assessment, grey_image, image_assessor
from support.written_engine import written
from zoom_iqa.base.errors import ImageError
from zoom_iqa.evaluation.assessment import Assessment, Outcome, Unviewable
from zoom_iqa.evaluation.guiding import guidance_of, repairs_of
from zoom_iqa.evaluation.refinement import Edited, EmbeddedRestorer, refine
from zoom_iqa.tasks.guidance import TARGETS

LEAST = 0.02


class Steps:
    """An editor whose candidates are greys: each turn those listed, whatever is said of the image."""

    def __init__(self, *turns: Sequence[int]) -> None:
        self.turns = list(turns)
        self.seen: list[int] = []

    def edits(self, image: Image.Image, assessment: Assessment) -> list[Edited]:
        self.seen.append(grey_of(image))
        greys = self.turns.pop(0) if self.turns else []
        return [Edited(str(grey), grey_image(grey)) for grey in greys]


def grey_of(image: Image.Image) -> int:
    return int(np.asarray(image).flat[0])


def judge(images: Sequence[Image.Image]) -> list[Outcome]:
    """A hundredth of the grey over 1; 7 is unreadable and 9 cannot be viewed."""
    outcomes: list[Outcome] = []
    for image in images:
        grey = grey_of(image)
        if grey == 9:
            outcomes.append(Unviewable(source="image", reason="too thin"))
        else:
            outcomes.append(assessment(answer(None if grey == 7 else 1 + grey / 100), source="image"))
    return outcomes


def start(grey: int) -> tuple[Image.Image, Assessment]:
    (found,) = judge([grey_image(grey)])
    assert isinstance(found, Assessment)
    return grey_image(grey), found


def test_the_best_of_each_turn_is_kept_until_nothing_is_gained() -> None:
    editor = Steps([60, 90, 80], [100, 70], [95, 101], [200])
    found = refine(*start(50), judge=judge, reader=judge, editor=editor, turns=9, least_gain=LEAST)
    assert grey_of(found.image) == 100
    assert [turn.kept for turn in found.rounds] == ["90", "100", None]  # 101 gains a hundredth, which is too little
    assert found.rounds[0].tried == (("60", 1.6), ("90", 1.9), ("80", 1.8))
    assert found.gain == pytest.approx(0.5)
    assert editor.seen == [50, 90, 100]


def test_turns_are_bounded_and_no_candidate_ends_it() -> None:
    found = refine(*start(50), judge=judge, reader=judge, editor=Steps([60], [70], [80]), turns=2, least_gain=LEAST)
    assert (grey_of(found.image), len(found.rounds)) == (70, 2)
    alone = refine(*start(50), judge=judge, reader=judge, editor=Steps(), turns=2, least_gain=LEAST)
    assert (grey_of(alone.image), alone.rounds, alone.gain) == (50, (), 0.0)


def test_candidates_without_a_rating_are_never_kept() -> None:
    found = refine(*start(3), judge=judge, reader=judge, editor=Steps([7, 9, 4, 8], [7, 9]), turns=5, least_gain=LEAST)
    assert grey_of(found.image) == 8
    assert found.rounds[0].tried == (("7", None), ("9", None), ("4", 1.04), ("8", 1.08))
    assert found.rounds[1].kept is None


def test_a_gain_that_a_second_reading_does_not_find_is_luck() -> None:
    """The reader sees 80 as 40: worse than the input."""

    def reader(images: Sequence[Image.Image]) -> list[Outcome]:
        return judge([grey_image(40) if grey_of(image) == 80 else image for image in images])

    found = refine(*start(50), judge=judge, reader=reader, editor=Steps([60, 80], [90]), turns=5, least_gain=LEAST)
    assert (grey_of(found.image), found.gain) == (50, 0.0)
    assert [(turn.kept, turn.read) for turn in found.rounds] == [(None, 1.4)]
    other = refine(*start(50), judge=judge, reader=reader, editor=Steps([60, 70], [80]), turns=5, least_gain=LEAST)
    assert [(turn.kept, turn.read) for turn in other.rounds] == [("70", 1.7), (None, 1.4)]
    assert (grey_of(other.image), other.gain) == (70, pytest.approx(0.2))


def test_a_gain_must_reach_the_least_by_the_judge_and_over_the_best_so_far() -> None:
    """The reader sees twice the distance from 50; 55 gains 0.05 by the judge, and 75 over 74 a hundredth."""

    def reader(images: Sequence[Image.Image]) -> list[Outcome]:
        return judge([grey_image(2 * grey_of(image) - 50) for image in images])

    found = refine(*start(50), judge=judge, reader=reader, editor=Steps([55]), turns=1, least_gain=0.1)
    assert [(turn.kept, turn.read) for turn in found.rounds] == [(None, None)]
    found = refine(*start(50), judge=judge, reader=judge, editor=Steps([74], [75]), turns=2, least_gain=0.1)
    assert [turn.kept for turn in found.rounds] == ["74", None]
    by_reader = refine(*start(50), judge=reader, reader=judge, editor=Steps([60], [65]), turns=2, least_gain=0.08)
    assert [(turn.kept, turn.read) for turn in by_reader.rounds] == [("60", 1.6), (None, 1.65)]


def test_an_edit_counts_as_its_file_shows_it() -> None:
    """The file of 90 is darker than the input, that of 80 is kept, and the next edit goes on from 80 itself."""

    def saved(image: Image.Image) -> Image.Image:
        return grey_image({90: 40, 80: 70}.get(grey_of(image), grey_of(image)))

    editor = Steps([90, 80])
    found = refine(*start(50), judge=judge, reader=judge, editor=editor, turns=2, least_gain=LEAST, saved=saved)
    assert found.rounds[0].tried == (("90", 1.4), ("80", 1.7))
    assert (grey_of(found.image), found.best_read.mean, editor.seen) == (80, 1.7, [50, 80])


def test_a_second_reading_that_cannot_be_made_keeps_nothing() -> None:
    def reader(images: Sequence[Image.Image]) -> list[Outcome]:
        return judge([grey_image(7) if grey_of(image) == 80 else image for image in images])

    found = refine(*start(50), judge=judge, reader=reader, editor=Steps([80]), turns=5, least_gain=LEAST)
    assert [(turn.kept, turn.read) for turn in found.rounds] == [(None, None)]


def test_the_result_bears_the_name_of_its_input() -> None:
    image, first = start(50)
    found = refine(image, first, judge=judge, reader=judge, editor=Steps([80]), turns=1, least_gain=LEAST)
    assert found.best.source == first.source


def test_nothing_is_better_than_an_image_without_a_rating() -> None:
    with pytest.raises(ImageError, match="no answer could be read"):
        refine(*start(7), judge=judge, reader=judge, editor=Steps([80]), turns=1, least_gain=LEAST)


def test_a_second_reading_that_fails_is_named_as_that() -> None:
    def unread(images: Sequence[Image.Image]) -> list[Outcome]:
        return judge([grey_image(7) for _ in images])

    with pytest.raises(ImageError, match=r"could be read when it was asked again \(bad_rating\), so .*--samples"):
        refine(*start(50), judge=judge, reader=unread, editor=Steps([80]), turns=1, least_gain=LEAST)


@given(st.integers(10, 250), st.lists(st.lists(st.integers(10, 250), min_size=1, max_size=4), max_size=5))
def test_no_image_is_judged_worse_than_the_input(grey: int, turns: list[list[int]]) -> None:
    found = refine(*start(grey), judge=judge, reader=judge, editor=Steps(*turns), turns=5, least_gain=LEAST)
    assert found.best_read.mean == 1 + grey_of(found.image) / 100  # what is said of it is what it is
    assert found.best_read.mean >= found.start_read.mean
    assert found.gain == 0 or found.gain >= LEAST - 1e-9


TEXT = (
    "<think>Quality: maybe noise upper left\nImprove: clean surfaces\nAvoid: noise\nDecision: crop upper left</think>"
    '<answer>{"bbox_2d": [0.1, 0.1, 0.6, 0.6], "rating": 2.00, "tool": "crop"}</answer>'
)
SECOND = "<think>Crop: clear noise\nImprove: clean surfaces\nAvoid: blur\nFinal: score left</think>"


def test_issues_of_all_turns_are_repaired_where_any_paragraph_places_them() -> None:
    found = assessment(answer(2.0, 2.0, text=TEXT), source="x")
    assert [repair.name for repair in repairs_of(found).repairs] == ["denoise at x 0-40 %, y 0-40 %"]
    editor = EmbeddedRestorer(alone=True)
    (only,) = editor.edits(grey_image(100), found)
    assert only.name == "denoise at x 0-40 %, y 0-40 %"


def test_the_restorer_offers_each_repair_and_all_together() -> None:
    found = assessment(answer(2.0, text=TEXT.replace("Avoid: noise", "Avoid: too dark, noise, faded colours")))
    together = "denoise at x 0-40 %, y 0-40 % + brighten + saturate"
    names = [made.name for made in EmbeddedRestorer(alone=True).edits(grey_image(100), found)]
    assert names == [*together.split(" + "), together]
    (once,) = EmbeddedRestorer(alone=False).edits(grey_image(100), found)
    assert once.name == together
    assert grey_of(once.image) > 100
    assert EmbeddedRestorer(alone=True).edits(grey_image(100), assessment(answer(2.0, text="no thought"))) == []


def test_guidance_is_of_all_turns() -> None:
    made = answer(2.0, 2.0, text=TEXT)
    two = replace(made, steps=(made.steps[0], replace(made.steps[1], text=SECOND)))
    found = guidance_of(assessment(two), target=TARGETS["plain"])
    assert found.negative is not None
    assert (found.prompt.text, found.negative.text) == ("clean surfaces", "noise, blur")


def test_with_an_assessor_a_dark_image_becomes_lighter() -> None:
    """End to end on written answers: the policy calls dark images dark and rates by brightness."""

    def say(grey: float, turn: int) -> str:
        issue = "too dark" if grey < 100 else "nothing"
        return written("turn1", rating=1 + 4 * grey / 255, crop=False).replace("Avoid: x", f"Avoid: {issue}")

    assessor = image_assessor(say)
    dark = grey_image(40)
    found = refine(
        dark,
        assessor.assess(dark),
        judge=assessor.assess_many,
        reader=assessor.drawn_anew().assess_many,
        editor=EmbeddedRestorer(alone=True),
        turns=5,
        least_gain=LEAST,
    )
    assert [turn.kept for turn in found.rounds] == ["brighten"] * len(found.rounds)
    assert grey_of(found.image) >= 100  # then nothing is named any more
    assert found.gain == pytest.approx(4 * (grey_of(found.image) - 40) / 255, abs=0.01)

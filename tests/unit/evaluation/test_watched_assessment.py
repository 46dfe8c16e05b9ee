"""An assessment that is watched is the one that is made unseen, and every moment before says what is known then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.demo_assessor import demo_assessor, say
from support.made_assessments import grey_image
from zoom_iqa.base.errors import ImageError
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.data.embedded.photographs import FOLDER
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.evaluation.assessment import Assessment, Unfinished


def test_every_moment_and_the_end() -> None:
    assessor, image = demo_assessor(), grey_image(200)
    *moments, last = assessor.watch(image)
    assert isinstance(last, Assessment)
    assert last == assessor.assess(image)
    assert (last.rating, last.texts) == (2.75, (say(200, 1), say(200, 2)))
    first, second = say(200, 1), say(200, 2)
    expected = [(first[:end],) for end in range(0, len(first), 4)]
    expected += [(first, second[:end]) for end in range(0, len(second), 4)]
    assert [moment.texts for moment in moments] == expected
    looks = [moment.looks for moment in moments if isinstance(moment, Unfinished)]
    assert {len(found) for found in looks[: len(first) // 4]} == {0}
    (look,) = looks[-1]
    assert (look.box, look.before, look.after) == (last.looks[0].box, 3.5, None)
    assert (last.looks[0].before, last.looks[0].after) == (3.5, 2.75)


def test_a_bad_image_is_told_before_anything(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        next(demo_assessor().watch(tmp_path / "none.png"))
    with pytest.raises(ImageError, match="too thin"):
        next(demo_assessor().watch(grey_image(9, width=500, height=2)))


def test_the_shipped_policy_says_the_same_when_watched_and_after_one_was_given_up() -> None:
    assessor = Assessor()
    told = assessor.watch(FOLDER / "coffee.jpg")
    assert [next(told).texts for _ in range(2)] == [("",), ("<think>Quality",)]
    told.close()  # type: ignore[attr-defined]
    *moments, last = assessor.watch(FOLDER / "coffee.jpg")
    assert last == assessor.assess(FOLDER / "coffee.jpg")
    assert isinstance(last, Assessment)
    # a moment before each turn and one after each token but its first, which comes with the second, and its last
    assert len(moments) == sum(step.tokens - 1 for step in last.records[0].steps)


def test_an_assessment_that_is_interrupted_does_not_spoil_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assessor, photograph = Assessor(), FOLDER / "coffee.jpg"
    advance, left = NativeEngine._advance, [3]

    def interrupted(self: NativeEngine) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(NativeEngine, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        assessor.assess(photograph)
    assert assessor.assess(photograph) == Assessor().assess(photograph)

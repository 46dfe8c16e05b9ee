"""Training goes on over images that no policy can be shown, in the place of which the next one comes."""

from __future__ import annotations

import pytest
from PIL import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.types import Message, Sample, rated_example
from zoom_iqa.data.supervised.records import SupervisedTurn
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.data.viewable import Viewable

THIN, WIDE = (1, 201), (200, 1)


def samples(*sizes: tuple[int, int]) -> list[Sample]:
    return [
        Sample.of(rated_example(id=f"{n}\x1b", dataset="d", mos=3.0), Image.new("RGB", size))
        for n, size in enumerate(sizes)
    ]


def ids(viewable: Viewable) -> list[str]:
    return [viewable[index].example.id[0] for index in range(len(viewable))]


def test_the_next_image_that_can_be_shown_comes_instead(capsys: pytest.CaptureFixture[str]) -> None:
    viewable = Viewable(samples(WIDE, THIN, THIN, (8, 6), THIN))
    assert ids(viewable) == ["0", "3", "3", "3", "0"]
    assert ids(viewable) == ["0", "3", "3", "3", "0"]
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        f"left out of training: d:{n}\\x1b, 1 x 201 pixels are too thin for the vision tower: sides of at most 200 to 1"
        for n in "124"
    ]


def test_views_of_one_file_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    views = [rated_example(id=f"a-view{n}", dataset="d", mos=3.0, path="/a.png") for n in range(3)]
    shown = samples((8, 6))
    viewable = Viewable([*(Sample.of(view, Image.new("RGB", THIN)) for view in views), *shown])
    assert all(viewable[index] is shown[0] for index in range(3))
    assert capsys.readouterr().err.count("left out of training") == 1


def test_every_image_of_a_trajectory_must_be_shown() -> None:
    good, crop = samples((8, 6), THIN)
    prompt = (Message("user", (*good.images, *crop.images)),)
    turns = (SupervisedTurn(prompt, "text", ()),)
    other = Trajectory(good.example, (SupervisedTurn((Message("user", good.images),), "text", ()),))
    assert Viewable([Trajectory(good.example, turns), other])[0] is other


def test_a_set_without_any_is_refused() -> None:
    with pytest.raises(ImageError, match="no image of the training set can be shown"):
        Viewable(samples(THIN, THIN))[0]


def test_what_has_no_pictures_passes() -> None:
    assert Viewable([7])[0] == 7

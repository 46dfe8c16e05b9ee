"""Training goes on over images that no policy can be shown, in the place of which the next one comes."""

from __future__ import annotations

from functools import partial

import pytest
from PIL import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.types import Example, Message, Sample, rated_example
from zoom_iqa.data.loader import SampleLoader
from zoom_iqa.data.supervised.records import SupervisedTurn
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.data.viewable import LostImage, Replaced, Viewable

THIN, WIDE = (1, 201), (200, 1)
viewable_of = partial(Viewable, most_lost=2)


def samples(*sizes: tuple[int, int]) -> list[Sample]:
    return [
        Sample.of(rated_example(id=f"{n}\x1b", dataset="d", mos=3.0), Image.new("RGB", size))
        for n, size in enumerate(sizes)
    ]


def ids(viewable: Viewable) -> list[str]:
    return [viewable[index].example.id[0] for index in range(len(viewable))]


def test_the_next_image_that_can_be_shown_comes_instead(capsys: pytest.CaptureFixture[str]) -> None:
    viewable = viewable_of(samples(WIDE, THIN, THIN, (8, 6), THIN))
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
    viewable = viewable_of([*(Sample.of(view, Image.new("RGB", THIN)) for view in views), *shown])
    assert all(viewable[index] is shown[0] for index in range(3))
    assert capsys.readouterr().err.count("left out of training") == 1


def test_every_image_of_a_trajectory_must_be_shown() -> None:
    good, crop = samples((8, 6), THIN)
    prompt = (Message("user", (*good.images, *crop.images)),)
    turns = (SupervisedTurn(prompt, "text", ()),)
    other = Trajectory(good.example, (SupervisedTurn((Message("user", good.images),), "text", ()),))
    assert viewable_of([Trajectory(good.example, turns), other])[0] is other


def test_a_set_without_any_is_refused() -> None:
    with pytest.raises(ImageError, match="no image of the training set can be shown"):
        viewable_of(samples(THIN, THIN))[0]


def test_what_has_no_pictures_passes() -> None:
    assert viewable_of([7])[0] == 7


class Breaking(list[Sample]):
    """Samples of which those at ``broken`` places can be read no more."""

    broken: tuple[int, ...] = ()

    def items(self) -> list[Example]:
        return [list.__getitem__(self, index).example for index in range(len(self))]

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if index in self.broken:
            raise ImageError(f"/{index}.png: there is no such file")
        return super().__getitem__(index)


def breaking(*broken: int) -> Breaking:
    found = Breaking(samples(*[(8, 6)] * 4))
    found.broken = broken
    return found


def lost(number: int) -> LostImage:
    return LostImage(f"d:{number}\x1b", f"d:{number}\x1b", f"/{number}.png: there is no such file")


def test_what_can_be_read_no_more_is_handed_on_with_the_next() -> None:
    images = breaking(1, 2)
    viewable = viewable_of(images)
    assert viewable[0] is images[0]
    assert viewable[1] == Replaced(images[3], (lost(1), lost(2)))
    assert viewable[2] == Replaced(images[3], (lost(2),))


def test_no_more_places_are_looked_at_than_images_may_be_lost() -> None:
    assert viewable_of(breaking(0, 1, 3))[3] == Replaced(None, (lost(3), lost(0), lost(1)))


def test_batches_carry_their_losses() -> None:
    images = breaking(1, 2)
    first, second = SampleLoader(viewable_of(images), batch_size=2, workers=0)
    assert (first, first.lost) == ([images[0], images[3]], (lost(1), lost(2)))
    assert (second, second.lost) == ([images[3], images[3]], (lost(2),))

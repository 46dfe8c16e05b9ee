"""Places that stand in for a crop, and the prompts that show them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.regions import area, coverage
from zoom_iqa.base.types import ImagePart, Message, Region, TextPart
from zoom_iqa.evaluation.crop_places import ELSEWHERE, PLACES, shown_at, with_last_images

LOOK: Region = (0.1, 0.2, 0.4, 0.6)
DEFECT: Region = (0.15, 0.25, 0.35, 0.5)


@pytest.mark.parametrize("name", ["random place", "place that misses"])
def test_other_places_have_the_looks_size_and_lie_in_the_image(name: str) -> None:
    for seed in range(50):
        place = PLACES[name](LOOK, DEFECT, np.random.default_rng(seed))
        assert place is not None
        assert (place[2] - place[0], place[3] - place[1]) == pytest.approx((0.3, 0.4))
        assert min(place) >= 0
        assert max(place) <= 1 + 1e-9
        if name == "place that misses":
            assert coverage(DEFECT, [place]) <= ELSEWHERE


def test_fixed_places() -> None:
    rng = np.random.default_rng(0)
    assert PLACES["asked"](LOOK, DEFECT, rng) == LOOK
    assert PLACES["region"](LOOK, DEFECT, rng) == DEFECT
    whole = PLACES["whole image"](LOOK, DEFECT, rng)
    assert whole is not None
    assert area(whole) == 1


def test_there_is_no_place_that_misses_a_defect_of_the_whole_image() -> None:
    assert PLACES["place that misses"](LOOK, (0.0, 0.0, 1.0, 1.0), np.random.default_rng(0)) is not None  # a small look
    assert PLACES["place that misses"]((0.0, 0.0, 0.9, 0.9), DEFECT, np.random.default_rng(0)) is None


def test_a_place_is_shown_with_its_own_pixels() -> None:
    """The lower right quarter is blue, all else red; enlarging it must not let red in at its border."""
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 10, 40, 20))
    part = shown_at(image, (0.5, 0.5, 1.0, 1.0), (10, 6))
    assert part.image.size == (10, 6)
    assert (np.asarray(part.image) == (0, 0, 255)).all()
    assert shown_at(image, (0.5, 0.5, 1.0, 1.0), (10, 6)).key == part.key


def test_the_last_pictures_of_a_prompt_are_exchanged_and_nothing_else() -> None:
    first, second, third, other = (ImagePart.of(Image.new("RGB", (32, 32), (shade, 0, 0))) for shade in (1, 2, 3, 4))
    prompt = (
        Message("user", (TextPart("a"), first)),
        Message("assistant", (TextPart("b"),)),
        Message("user", (second, TextPart("c"), third)),
    )
    changed = with_last_images(prompt, [other])
    assert [part for message in changed for part in message.parts if isinstance(part, ImagePart)] == [
        first,
        second,
        other,
    ]
    assert [message.role for message in changed] == ["user", "assistant", "user"]
    assert [part.text for message in changed for part in message.parts if isinstance(part, TextPart)] == ["a", "b", "c"]
    both = with_last_images(prompt, [other, first])
    assert both[0].parts == prompt[0].parts
    assert both[2].parts == (other, prompt[2].parts[1], first)

"""Photographs taken badly: what light does to a value, what faults cost, and which sets they make."""

from __future__ import annotations

import numpy as np
import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Truth
from zoom_iqa.data.captured.capture import Capture, Light, draw_capture
from zoom_iqa.data.captured.coded import CodedSet
from zoom_iqa.data.captured.exposure import Lamp, low_light, over_exposed
from zoom_iqa.data.captured.images import CapturedSet
from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.pictures import ShippedPictures
from zoom_iqa.data.mixed import MixedSet

WHITE_LIGHT = (1.0, 1.0, 1.0)
GAUSSIAN_BLUR, JPEG = DISTORTIONS[0], DISTORTIONS[9]


def grey(value: int) -> np.ndarray:
    return np.full((60, 80, 3), value, np.uint8)


def test_a_stop_halves_or_doubles_the_light_of_a_coded_value():
    # 255 * ((128 / 255)^2.2 / 2)^(1 / 2.2) = 93.4; doubled 175.4; 200 doubled is above white
    assert (low_light(grey(128), stops=1, gains=WHITE_LIGHT, lamp=None) == 93).all()
    assert (over_exposed(grey(128), stops=1) == 175).all()
    assert (over_exposed(grey(200), stops=1) == 255).all()


def test_gains_are_those_of_the_channels():
    taken = low_light(grey(128), stops=0, gains=(1.0, 0.5, 0.25), lamp=None)
    assert taken[0, 0].tolist() == [128, 93, 68]  # 128 * 0.25^(1 / 2.2) = 68.2


def test_a_lamp_lights_its_place_and_not_the_far_corner():
    taken = low_light(grey(128), stops=1, gains=WHITE_LIGHT, lamp=Lamp(x=0.0, y=0.0, reach=0.1, gain=1.0))
    assert taken[0, 0].tolist() == [128] * 3
    assert taken[-1, -1].tolist() == [93] * 3
    wide = low_light(grey(128), stops=1, gains=WHITE_LIGHT, lamp=Lamp(x=0.0, y=0.0, reach=0.25, gain=1.0))
    # at a quarter of the width, 20 pixels: 128 * ((1 + 1 / e) / 2)^(1 / 2.2) = 107.7
    assert wide[20, 0].tolist() == wide[0, 20].tolist() == [108] * 3


def test_faults_add_as_the_root_of_their_squares_and_the_worst_one_is_told():
    # two stops lose 1.3; Gaussian blur at level 3 has 2.91 of 4.60, a loss of 1.69; together 2.132
    capture = Capture(Light(-2.0), ((GAUSSIAN_BLUR, 3.0),))
    assert capture.mos == pytest.approx(4.60 - 2.13216, abs=1e-4)
    assert capture.truth.distortion == "gaussian_blur"
    assert capture.truth.level == pytest.approx(1 + 4 * 2.13216 / 3.30, abs=1e-4)
    assert capture.truth.region is None


def test_a_photograph_without_faults_is_pristine():
    assert Capture().mos == 4.60
    assert Capture().truth == Truth(distortion=None, level=1.0, region=None)
    assert (Capture().of(grey(7), np.random.default_rng(0)) == 7).all()


def test_scores_and_severities_end_where_their_scales_do():
    worst = Capture(Light(-4.0), ((GAUSSIAN_BLUR, 5.0), (JPEG, 5.0)))
    assert (worst.mos, worst.truth.level) == (1.0, 5.0)


def test_light_comes_before_the_faults_of_the_camera():
    capture = Capture(Light(1.0), ((JPEG, 5.0),))
    picture = ShippedPictures(split="val").draw(ShippedPictures(split="val").names[0], np.random.default_rng(0))
    taken = capture.of(picture, np.random.default_rng(0))
    other_way = over_exposed(Capture(None, capture.faults).of(picture, np.random.default_rng(0)), stops=1.0)
    assert (taken != other_way).any()
    assert (taken == Capture(None, capture.faults).of(over_exposed(picture, stops=1.0), np.random.default_rng(0))).all()


def test_dark_photographs_are_blurred_and_noisy_more_often():
    rng = np.random.default_rng(0)
    drawn = [draw_capture(rng) for _ in range(4000)]
    dark = [one for one in drawn if one.light is not None and one.light.stops < 0]
    others = [one for one in drawn if one.light is None]

    def share(captures: list[Capture], family: str) -> float:
        return float(np.mean([any(kind.family == family for kind, _ in one.faults) for one in captures]))

    assert len(dark) / len(drawn) == pytest.approx(0.3, abs=0.03)
    assert share(dark, "compression") == pytest.approx(0.3, abs=0.05)
    assert share(others, "compression") == pytest.approx(0.3, abs=0.05)
    assert share(dark, "noise") > share(others, "noise") + 0.2  # "denoise" is of this family too
    assert all(1 <= one.mos <= 4.60 for one in drawn)


def captured(size: int = 12) -> CapturedSet:
    return CapturedSet(pictures=ShippedPictures(split="val"), size=size, seed=3)


def test_equal_arguments_give_equal_images_whatever_was_asked_before():
    first, second = captured(), captured()
    second[0]
    one, other = first[7], second[7]
    assert one.example == other.example
    assert one.example.mos == first.captures[7].mos
    assert np.array_equal(np.array(one.image), np.array(other.image))


def test_what_is_drawn_for_an_image_follows_from_the_seed_and_its_place():
    drawn: set[float] = set()

    class Noted:
        """One photograph; what its pictures are drawn by is written down."""

        names = ("a",)

        def draw(self, name: str, rng: np.random.Generator) -> np.ndarray:
            drawn.add(rng.random())
            return grey(7)

    for seed in (3, 4):
        images = CapturedSet(pictures=Noted(), size=2, seed=seed)
        assert [images[index].example.reference_id for index in (0, 1, 0)] == ["a"] * 3
    assert len(drawn) == 4


def test_photographs_take_turns_and_ids_tell_images_apart():
    images = captured(30)
    assert images.captures != CapturedSet(pictures=ShippedPictures(split="val"), size=30, seed=4).captures
    of = [example.reference_id for example in images.items()]
    assert len(set(of)) == 15
    assert of[:15] == of[15:]
    assert len({example.id for example in images.items()}) == 30


def test_no_images_are_refused():
    with pytest.raises(ConfigError, match="size=0"):
        captured(0)


def test_a_mixture_holds_every_image_once_and_its_labels_are_its_images():
    embedded = EmbeddedSet(
        split="val", size=9, seed=0, local_fraction=0.3, pristine_fraction=0.1, procedural_fraction=0.0,
        continuous_levels=False, augmented=False, references=None,
    )  # fmt: skip
    mixed = MixedSet(sets=[embedded, captured(4)], seed=1)
    assert len(mixed) == 13
    ids = [example.name for example in mixed.items()]
    assert sorted(ids) == sorted(example.name for one in (embedded, captured(4)) for example in one.items())
    assert ids != [example.name for one in (embedded, captured(4)) for example in one.items()]
    assert [mixed[index].example.name for index in range(13)] == ids
    assert sorted(mixed.picture_names) == sorted(embedded.picture_names)
    assert ids != [example.name for example in MixedSet(sets=[embedded, captured(4)], seed=2).items()]


def test_a_share_of_images_is_coded_and_labels_stay():
    plain = captured(40)
    coded = CodedSet(images=plain, share=0.5, least=70, most=95, seed=0)
    assert coded.items() == plain.items()
    assert coded.picture_names == plain.picture_names
    touched = coded.qualities > 0
    assert 10 <= touched.sum() <= 30
    assert set(coded.qualities[touched]) <= set(range(70, 96))
    assert set(CodedSet(images=plain, share=1.0, least=90, most=90, seed=0).qualities) == {90}
    assert (CodedSet(images=plain, share=0.5, least=70, most=95, seed=1).qualities != coded.qualities).any()
    for index in (int(np.flatnonzero(touched)[0]), int(np.flatnonzero(~touched)[0])):
        before, after = (np.array(one[index].image, float) for one in (plain, coded))
        assert (before == after).all() == (not touched[index])
        assert abs(before - after).mean() < 6


@pytest.mark.parametrize(
    ("given", "named"),
    [({"share": 1.5}, "share=1.5"), ({"least": 80, "most": 70}, "least=80"), ({"most": 96}, "most=96")],
)
def test_shares_and_qualities_that_cannot_be_are_refused(given, named):
    with pytest.raises(ConfigError, match=named):
        CodedSet(images=captured(), seed=0, **({"share": 0.5, "least": 70, "most": 95} | given))

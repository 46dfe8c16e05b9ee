"""A simulated generator is off as its rule says, always alike, and its words follow its ratings."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Example, Truth, rated_example
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.kadid_means import PRISTINE_MOS, severity_at
from zoom_iqa.data.supervised.rationales import RationaleWriter
from zoom_iqa.data.supervised.simulated_generator import SimulatedGenerator
from zoom_iqa.data.supervised.trajectories import WrittenTrajectories
from zoom_iqa.tasks.answer import read_rating
from zoom_iqa.tasks.zoom import ZoomTask

JPEG = Truth(distortion="jpeg", level=3.0, region=None)
WHITE_NOISE = Truth(distortion="white_noise", level=3.0, region=None)


def example(mos: float, name: str = "a", photograph: str = "coffee") -> Example:
    return rated_example(id=name, dataset="d", mos=mos, reference_id=photograph)


def generator(**changes: Any) -> SimulatedGenerator:
    exact = {"middle": 3.4, "slope": 0.55, "type_bias": 0.0, "content_bias": 0.0, "noise": 0.0, "seed": 0}
    return SimulatedGenerator(**(exact | changes))


def z(said: str) -> float:
    """The standard normal quantile of a digest's first six bytes."""
    return float(norm.ppf((int(hashlib.sha256(said.encode()).hexdigest()[:12], 16) + 0.5) / 2**48))


@pytest.mark.parametrize(("mos", "rating"), [(3.4, 3.4), (1.4, 2.3), (4.4, 3.95), (1.0, 2.08)])
def test_ratings_are_drawn_to_the_middle(mos: float, rating: float) -> None:
    assert generator().rating(example(mos), JPEG) == pytest.approx(rating)


def test_each_shift_follows_from_seed_and_name() -> None:
    one = example(3.4, "a")
    pristine = Truth(distortion=None, level=1.0, region=None)
    assert generator(type_bias=0.1).rating(one, JPEG) == pytest.approx(3.4 + 0.1 * z("0:type:jpeg"))
    assert generator(type_bias=0.1).rating(one, pristine) == pytest.approx(3.4 + 0.1 * z("0:type:pristine"))
    assert generator(content_bias=0.1).rating(one, JPEG) == pytest.approx(3.4 + 0.1 * z("0:content:coffee"))
    assert generator(noise=0.1, seed=7).rating(one, JPEG) == pytest.approx(3.4 + 0.1 * z(f"7:image:{one.name}"))


def test_a_bias_is_the_same_for_every_image_of_its_type_and_photograph() -> None:
    biased = generator(type_bias=0.7, content_bias=0.4)
    shifts = {
        biased.rating(example(mos, name), JPEG) - (3.4 + 0.55 * (mos - 3.4)) for mos, name in ((3.0, "a"), (3.5, "b"))
    }
    assert max(shifts) - min(shifts) < 1e-12
    assert biased.rating(example(3.0), JPEG) != biased.rating(example(3.0), WHITE_NOISE)
    assert biased.rating(example(3.0), JPEG) != biased.rating(example(3.0, photograph="cat"), JPEG)


def test_noise_has_the_spread_that_was_asked_for() -> None:
    """2,000 draws: the standard error of a standard deviation is its 63rd part."""
    noisy = generator(noise=0.3)
    ratings = [noisy.rating(example(3.4, f"i{number}"), JPEG) for number in range(2000)]
    assert np.mean(ratings) == pytest.approx(3.4, abs=0.03)
    assert np.std(ratings) == pytest.approx(0.3, abs=0.02)


@given(mos=st.floats(1, 5), seed=st.integers(0, 50), level=st.floats(1, 5))
def test_ratings_and_levels_stay_on_their_scales(mos: float, seed: int, level: float) -> None:
    wild = generator(type_bias=3.0, content_bias=3.0, noise=3.0, seed=seed)
    truth, rating = wild.told(example(mos), Truth(distortion="jpeg", level=level, region=(0.1, 0.2, 0.5, 0.6)))
    assert 1 <= rating <= 5
    assert 1 <= truth.level <= 5
    assert (truth.distortion, truth.region) == ("jpeg", (0.1, 0.2, 0.5, 0.6))


def test_a_level_moves_with_the_rating() -> None:
    """The severity of a mean score falls from 5 at 1.30 to 1 at 4.60, by 4 / 3.3 a point."""
    assert severity_at(1.30) == pytest.approx(5)
    assert severity_at(PRISTINE_MOS) == pytest.approx(1)
    truth, rating = generator().told(example(1.4), JPEG)
    assert rating == pytest.approx(2.3)
    assert truth.level == pytest.approx(3.0 - 0.9 * 4 / 3.3)


def test_a_pristine_image_has_no_level_to_move() -> None:
    pristine = Truth(distortion=None, level=1.0, region=None)
    assert generator().told(example(4.6), pristine)[0] == pristine


@pytest.mark.parametrize(
    "wrong", [{"middle": 0.9}, {"slope": 1.1}, {"type_bias": -0.1}, {"content_bias": -1}, {"noise": float("nan")}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"ratings\.{name}="):
        generator(**wrong)


def test_trajectories_tell_the_generators_ratings_and_examples_keep_peoples() -> None:
    images = EmbeddedSet(
        split="train", size=8, seed=1, local_fraction=0.3, pristine_fraction=0.1, procedural_fraction=0.0,
        continuous_levels=True, augmented=False, references=None,
    )  # fmt: skip
    writer = RationaleWriter(
        prompts=PROMPTS, doubt_level=2, doubt_crop_rate=0.3, clear_crop_rate=0.2, guess_pull=0.5, guess_spread=0.3,
        box_jitter=0.1,
    )  # fmt: skip
    biased = generator(type_bias=0.7, noise=0.35)

    def told(ratings: SimulatedGenerator | None) -> WrittenTrajectories:
        return WrittenTrajectories(
            images=images, writer=writer, task=ZoomTask(prompts=PROMPTS), seed=0, ratings=ratings
        )

    for index in range(len(images)):
        sample = images[index]
        assert sample.example.truth is not None
        from_generator, from_people = told(biased)[index], told(None)[index]
        expected = biased.rating(sample.example, sample.example.truth)
        assert read_rating(from_generator.turns[-1].response) == pytest.approx(expected, abs=0.0051)
        assert read_rating(from_people.turns[-1].response) == pytest.approx(sample.example.mos, abs=0.0051)
        assert from_generator.example == from_people.example == sample.example

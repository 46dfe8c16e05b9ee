"""Expected ratings against an enumeration of every text that a toy writer may write."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoom_iqa.base.errors import DataError
from zoom_iqa.metrics.expected_rating import DEEPER, DigitDistributions, expected_rating

SIGNS = "0123456789.}"


class Writer:
    """Writes one sign after the other, each from a distribution of its own that depends on all signs before it."""

    def __init__(self, seed: int, sharpness: float) -> None:
        self.seed, self.sharpness = seed, sharpness

    def __call__(self, text: str) -> dict[str, float]:
        rng = np.random.default_rng([self.seed, *map(ord, text)])
        weights = np.exp(self.sharpness * rng.standard_normal(len(SIGNS)))
        return dict(zip(SIGNS, weights / weights.sum(), strict=True))

    def texts(self, begun: str = "") -> Iterator[tuple[str, float]]:
        """Texts that begin as d.dd may and their probabilities; each ends where it can be one no more."""
        if not re.fullmatch(r"(\d(\.\d?)?)?", begun):
            yield begun, 1.0
            return
        for sign, p in self(begun).items():
            for text, rest in self.texts(begun + sign):
                yield text, p * rest

    def digits(self) -> DigitDistributions:
        def ten(text: str) -> list[float]:
            return [self(text)[str(digit)] for digit in range(10)]

        return DigitDistributions(
            units_J=np.array(ten("")),
            point_U=np.array([self(str(unit))["."] for unit in DEEPER]),
            digit_U=np.array([sum(ten(str(unit))) for unit in DEEPER]),
            tenths_UJ=np.array([ten(f"{unit}.") for unit in DEEPER]),
            hundredths_UJJ=np.array([[ten(f"{unit}.{tenth}") for tenth in range(10)] for unit in DEEPER]),
        )


def rating(text: str) -> float | None:
    """The number that a text begins with, on the scale; after a 0 nothing but a point may follow."""
    found = re.match(r"0|\d+(\.\d{1,2})?", text)
    return None if found is None else min(5.0, max(1.0, float(found.group())))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), sharpness=st.sampled_from([0.1, 1.0, 4.0]))
def test_it_is_that_of_every_text_there_is(seed: int, sharpness: float) -> None:
    writer = Writer(seed, sharpness)
    rated = [(rating(text), p) for text, p in writer.texts()]
    assert sum(p for _, p in rated) == pytest.approx(1.0)
    mass = sum(p for value, p in rated if value is not None)
    mean = sum(value * p for value, p in rated if value is not None) / mass
    variance = sum((value - mean) ** 2 * p for value, p in rated if value is not None) / mass
    found = expected_rating(writer.digits())
    assert (found.mean, found.std, found.mass) == pytest.approx((mean, variance**0.5, mass), abs=1e-9)


def sure(text: str) -> DigitDistributions:
    """A writer that is sure of a rating such as 3.52."""
    eye = np.eye(10)
    unit, tenth, hundredth = (int(sign) for sign in text.replace(".", ""))
    return DigitDistributions(
        units_J=eye[unit],
        point_U=np.ones(4),
        digit_U=np.zeros(4),
        tenths_UJ=np.tile(eye[tenth], (4, 1)),
        hundredths_UJJ=np.tile(eye[hundredth], (4, 10, 1)),
    )


@pytest.mark.parametrize(("text", "mean"), [("3.52", 3.52), ("1.00", 1.0), ("0.73", 1.0), ("5.20", 5.0), ("9.99", 5.0)])
def test_a_sure_writer_has_no_spread_and_the_scale_has_ends(text: str, mean: float) -> None:
    found = expected_rating(sure(text))
    assert (found.mean, found.std, found.mass) == pytest.approx((mean, 0.0, 1.0), abs=1e-12)


def test_rounding_leaves_a_sure_writer_a_real_spread() -> None:
    """Probabilities that float32 has rounded one by one, of digits some 20 nats ahead: parts of them are below zero."""
    unlikely = float(np.exp(-24.0))
    certain = sure("3.52")
    digits = DigitDistributions(
        units_J=np.where(certain.units_J == 1, 1 - unlikely, unlikely),
        point_U=np.full(4, 1 - unlikely),
        digit_U=np.zeros(4),
        tenths_UJ=np.where(certain.tenths_UJ == 1, np.float64(np.float32(1) + np.float32(1e-7)), 0.0),
        hundredths_UJJ=np.where(certain.hundredths_UJJ == 1, 1.0, 0.0),
    )
    found = expected_rating(digits)
    assert isinstance(found.std, float)
    assert (found.mean, found.std) == pytest.approx((3.52, 0.0), abs=1e-4)


def test_two_ratings_by_hand() -> None:
    """Half 2, a quarter each 3 and a word; 2 is followed by no point, 3 by .5 and an end."""
    eye = np.eye(10)
    digits = DigitDistributions(
        units_J=0.5 * eye[2] + 0.25 * eye[3],
        point_U=np.array([0.0, 0.0, 1.0, 0.0]),
        digit_U=np.zeros(4),
        tenths_UJ=np.tile(eye[5], (4, 1)),
        hundredths_UJJ=np.zeros((4, 10, 10)),
    )
    found = expected_rating(digits)
    assert found.mean == pytest.approx((2 * 2.0 + 3.5) / 3)
    assert found.std == pytest.approx((2 * 0.5**2 + 1.0**2) ** 0.5 / 3**0.5)
    assert found.mass == 0.75


def test_a_second_digit_makes_a_five() -> None:
    """15 or 3.50, half each: the first is read as 5."""
    eye = np.eye(10)
    half = dataclasses.replace(sure("3.50"), units_J=0.5 * eye[1] + 0.5 * eye[3])
    two = dataclasses.replace(half, point_U=np.array([0.0, 1.0, 1.0, 1.0]), digit_U=np.array([1.0, 0.0, 0.0, 0.0]))
    assert expected_rating(two).mean == pytest.approx(4.25)


@pytest.mark.parametrize(("units", "said"), [(np.zeros(10), "no digit"), (np.full(10, np.nan), "within 0 to 1")])
def test_what_is_no_distribution_is_refused(units: np.ndarray, said: str) -> None:
    certain = sure("3.52")
    digits = dataclasses.replace(certain, units_J=units)
    with pytest.raises(DataError, match=said):
        expected_rating(digits)

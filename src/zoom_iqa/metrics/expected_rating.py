"""The rating that a policy expects to write, from the distributions of the rating's digits.

A rating is written digit by digit, ``d.dd``. Its distribution is a tree: the units, for each of them whether a point
follows, for each of those the tenths, and so on. Anything else than a digit ends the number, so ``4`` is 4.00 and
``3.5`` is 3.50; what follows the hundredths is not looked at. Ratings off the scale of 1 to 5 count as its ends, as
they do when one is read: hence units of 0 and of 5 to 9 need no further digits, a second digit before the point makes
a 5 of 10 to 49, and the tree has 40 tips.

Legend: J the ten digits, U the units 1 to 4, O ratings that can be written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.judgements import RatingDistribution

Array = NDArray[np.float64]
DEEPER = (1, 2, 3, 4)
"""Units after which further digits change the rating."""


@dataclass(frozen=True, eq=False)
class DigitDistributions:
    """Probabilities of next tokens along the tree of a rating, each among all tokens: digits need not sum to 1.

    ``units_J`` are those of the first digit, ``point_U`` of a point after units of 1 to 4 and ``digit_U`` of another
    digit there, ``tenths_UJ`` of the digit after the point, ``hundredths_UJJ`` of the one after units and tenths.
    """

    units_J: Array
    point_U: Array
    digit_U: Array
    tenths_UJ: Array
    hundredths_UJJ: Array


def expected_rating(digits: DigitDistributions) -> RatingDistribution:
    """Mean and standard deviation of the rating, exact over all ways to write one.

    Raises:
        DataError: a probability is not within 0 to 1, or no digit can come first.
    """
    every = (digits.units_J, digits.point_U, digits.digit_U, digits.tenths_UJ, digits.hundredths_UJJ)
    if not all(((p >= 0) & (p <= 1 + 1e-6)).all() for p in every):
        raise DataError("probabilities of a rating's digits must lie within 0 to 1")
    mass = float(digits.units_J.sum())
    if mass == 0:
        raise DataError("no digit has a probability where the rating begins; there is no rating to expect")
    value_O, p_O = _outcomes(digits)
    mean = float(p_O @ value_O) / mass
    variance = float(p_O @ (value_O - mean) ** 2) / mass
    # probabilities rounded one by one leave parts of about -1e-8, and so may the variance of a rating that is sure
    return RatingDistribution(mean=mean, std=max(variance, 0.0) ** 0.5, mass=min(mass, 1.0))


def _outcomes(digits: DigitDistributions) -> tuple[Array, Array]:
    """Ratings that can be written and their probabilities; a rating may come several times."""
    deeper = list(DEEPER)
    units_U, tenth_J, hundredth_J = np.array(deeper, dtype=np.float64), np.arange(10) / 10, np.arange(10) / 100
    p_two_digits_U = digits.units_J[deeper] * digits.digit_U
    p_tenths_UJ = (digits.units_J[deeper] * digits.point_U)[:, None] * digits.tenths_UJ
    p_hundredths_UJJ = p_tenths_UJ[:, :, None] * digits.hundredths_UJJ
    tenths_UJ = units_U[:, None] + tenth_J
    parts = (
        (np.array([1.0]), digits.units_J[:1]),
        (np.full(5, 5.0), digits.units_J[5:]),
        (np.full(len(deeper), 5.0), p_two_digits_U),
        (units_U, digits.units_J[deeper] - p_tenths_UJ.sum(1) - p_two_digits_U),
        (tenths_UJ, p_tenths_UJ - p_hundredths_UJJ.sum(2)),
        (tenths_UJ[:, :, None] + hundredth_J, p_hundredths_UJJ),
    )
    return np.concatenate([value.ravel() for value, _ in parts]), np.concatenate([p.ravel() for _, p in parts])

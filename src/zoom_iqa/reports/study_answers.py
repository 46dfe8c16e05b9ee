"""What a study compares of a run's answers, as matrices: a run's folder takes megabytes, they some tens of KB.

Legend: K answers of an image, n images. What an answer lacks is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.figures import ImageRatings
from zoom_iqa.reports.kept import read_kept, write_kept
from zoom_iqa.reports.runs import Figures

Matrix = NDArray[np.float64]
_DECIMALS = (
    3  # of values in the file: ratings have two, and a mean of a distribution moves a correlation by less than 1e-4
)


def _rating(record: Record) -> float | None:
    return record.rating


def _expected(record: Record) -> float | None:
    return None if record.expected is None else record.expected.mean


def _caption(record: Record) -> float | None:
    asked = record.probes.get("caption", ())
    return asked[0].rating if asked else None


def _tokens(record: Record) -> float | None:
    return sum(step.tokens for step in record.steps)


VALUES: Mapping[str, Callable[[Record], float | None]] = {
    "rating": _rating,
    "expected": _expected,
    "caption": _caption,
    "tokens": _tokens,
}
"""Values of an answer by name. ``caption`` is the rating from its own words alone, where that was asked for, and
``tokens`` counts all of its turns.
"""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers of a run: ids, photographs and opinion scores of its n images, and values (K, n) by name."""

    ids: tuple[str, ...]
    photographs: tuple[str, ...]
    mos_n: Matrix
    values: Mapping[str, Matrix]

    def of(self, name: str, ids: Iterable[str]) -> Matrix:
        """Values (K, m) of these images, in this order; NaN where the run has none of that name."""
        place = {one: column for column, one in enumerate(self.ids)}
        columns = [place[one] for one in ids]
        found = self.values.get(name)
        return np.full((1, len(columns)), math.nan) if found is None else found[:, columns]


def answers_of(images: Iterable[ImageRatings]) -> Answers:
    """The matrices of evaluated images; an answer has the row of its sample."""
    listed = [image.trajectories for image in images]
    examples = [records[0].example for records in listed]
    shape = 1 + max(one.sample for records in listed for one in records), len(listed)
    values = {name: np.full(shape, math.nan) for name in VALUES}
    for column, records in enumerate(listed):
        for record in records:
            for name, value in VALUES.items():
                found = value(record)
                values[name][record.sample, column] = math.nan if found is None else found
    return Answers(
        ids=tuple(example.id for example in examples),
        photographs=tuple(example.reference_id or example.id for example in examples),
        mos_n=np.array([example.mos for example in examples]),
        values={name: value for name, value in values.items() if not np.isnan(value).all()},
    )


def write_answers(path: Path, answers: Answers, figures: Figures) -> None:
    """Keep a run's answers and figures in a file of ``kept``."""
    values = {
        name: [[None if math.isnan(v) else round(v, _DECIMALS) for v in row] for row in value.tolist()]
        for name, value in answers.values.items()
    }
    write_kept(
        path,
        {
            "figures": figures,
            "ids": answers.ids,
            "photographs": answers.photographs,
            "mos": answers.mos_n.tolist(),
            "values": values,
        },
    )


def kept_figures(path: Path) -> Figures:
    """The figures that ``write_answers`` kept.

    Raises:
        DataError: the file is damaged.
    """
    figures: Figures = read_kept(path)["figures"]
    return figures


def read_answers(path: Path) -> Answers:
    """The answers that ``write_answers`` kept.

    Raises:
        DataError: the file is damaged.
    """
    found = read_kept(path)
    return Answers(
        ids=tuple(found["ids"]),
        photographs=tuple(found["photographs"]),
        mos_n=np.array(found["mos"], dtype=np.float64),
        values={name: np.array(value, dtype=np.float64) for name, value in found["values"].items()},
    )

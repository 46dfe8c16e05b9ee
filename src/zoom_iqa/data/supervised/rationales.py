"""Writes what a good trajectory says, from a distortion, a severity, a region and a score that are known.

The four sections follow GR-IQA, the rationale data of Zoom-IQA (arXiv 2601.02918): summary, directions, issues,
decision. A defect in one region asks for a crop around it; a faint one, or none, sometimes asks for a crop to be sure,
a clear one seldom: second turns must know every score, for a policy also crops where it is wrong about what it saw.
"""

from __future__ import annotations

import numpy as np

from zoom_iqa.base.defects import DEFECTS, PRISTINE, SEVERITIES, Defect
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.ranges import require_not_negative, require_share
from zoom_iqa.base.types import Region, Truth
from zoom_iqa.data.supervised.boxes import place_of, widened, written
from zoom_iqa.data.supervised.two_turns import Rationale, TwoTurns
from zoom_iqa.tasks.prompts import PromptSet


class RationaleWriter:
    """Writes trajectories for one prompt set, by truths.

    ``doubt_level``: a defect up to this level, or none, leaves doubt and is cropped with ``doubt_crop_rate`` in [0, 1];
    a clear defect all over the image with ``clear_crop_rate``. ``box_jitter``: the largest outward shift of a box's
    edges, as a fraction of the image's sides. The rest as in ``TwoTurns``.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self,
        *,
        prompts: PromptSet,
        doubt_level: float,
        doubt_crop_rate: float,
        clear_crop_rate: float,
        guess_pull: float,
        guess_spread: float,
        box_jitter: float,
        box_decimals: int | None = None,
    ) -> None:
        require_share("data.trajectories.writer.doubt_crop_rate", doubt_crop_rate)
        require_share("data.trajectories.writer.clear_crop_rate", clear_crop_rate)
        require_share("data.trajectories.writer.box_jitter", box_jitter)
        require_not_negative("data.trajectories.writer.doubt_level", doubt_level)
        self._turns = TwoTurns(
            prompts=prompts, guess_pull=guess_pull, guess_spread=guess_spread, box_decimals=box_decimals
        )
        self._doubt_level = doubt_level
        self._doubt_crop_rate = doubt_crop_rate
        self._clear_crop_rate = clear_crop_rate
        self._box_jitter = box_jitter

    def write(self, truth: Truth, mos: float, rng: np.random.Generator) -> Rationale:
        """One trajectory about an image of score ``mos`` (1-5); equal truths and generator states give equal texts.

        Raises:
            DataError: ``truth.distortion`` has no words in ``DEFECTS``.
        """
        doubtful = truth.distortion is None or truth.level <= self._doubt_level
        rate = self._doubt_crop_rate if doubtful else self._clear_crop_rate
        crops = truth.region is not None or rng.random() < rate
        box = self._box(truth.region, rng) if crops else None
        where = truth.region or box
        return self._turns.write(
            mos=mos,
            defect=defect_of(truth.distortion),
            severity=severity_of(truth),
            place="frame" if where is None else place_of(where),
            box=box,
            rng=rng,
        )

    def _box(self, region: Region | None, rng: np.random.Generator) -> Region:
        """The region with its edges moved outwards; where there is none, anywhere, with half the image's sides."""
        if region is None:
            x, y = rng.uniform(0.0, 0.5, size=2)
            region = (x, y, x + 0.5, y + 0.5)
        return written(widened(region, by=self._box_jitter, rng=rng), decimals=self._turns.decimals)


def defect_of(distortion: str | None) -> Defect:
    """The words for a distortion, or for none.

    Raises:
        DataError: it has no words.
    """
    if distortion is None:
        return PRISTINE
    if distortion not in DEFECTS:
        raise DataError(f"distortion {distortion!r} has no words; add it to DEFECTS in base/defects.py")
    return DEFECTS[distortion]


def severity_of(truth: Truth) -> str:
    """The word for a truth's level."""
    return SEVERITIES[int(np.clip(round(truth.level), 1, 5)) - 1]

"""Scores of distorted images: human means by type and level, and a stated rule for a distortion of one region.

The means are KADID-10k's (Lin, Hosu, Saupe, QoMEX 2019) over its 81 references; they predict the scores of held-out
references at SRCC 0.948, so they may label the same distortions of other photographs.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np

from zoom_iqa.data.distortions import Distortion

PRISTINE_MOS = 4.60
"""Mean score of KADID-10k's images that its mildest level leaves as they are (types 1, 3, 8 and 18: 4.58 to 4.61)."""

UNSEEN_MOS = 4.55
"""From this mean score on, the raters as a group did not tell the distorted image from a pristine one."""

REGION_EXPONENT = 1 / 3
"""Area to the power of this is a region's weight: 10 % of the image weigh 0.46, 30 % weigh 0.67."""

_WORST_MOS = 1.30


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations, (25, 5) each, by type and level."""
    text = (files("zoom_iqa") / "assets" / "kadid_type_level_mean.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    mean, std = np.zeros((25, 5)), np.zeros((25, 5))
    for row in rows:
        cell = int(row["type"]) - 1, int(row["level"]) - 1
        mean[cell], std[cell] = float(row["mean"]), float(row["std"])
    return mean, std


def global_mos(kind: Distortion, level: float) -> float:
    """Mean score (1-5) of ``kind`` at ``level`` in [1, 5] all over the image, linear between the five levels."""
    return float(np.interp(level, (1, 2, 3, 4, 5), _tables()[0][kind.number - 1]))


def global_mos_std(kind: Distortion, level: float) -> float:
    """Standard deviation of that score over the 81 references: how much it depends on what is shown."""
    return float(np.interp(level, (1, 2, 3, 4, 5), _tables()[1][kind.number - 1]))


def region_mos(kind: Distortion, level: float, area: float) -> float:
    """Score of the distortion in one region that covers ``area`` (a share in [0, 1]); a rule, not a human mean.

    pristine - (pristine - global) * area^(1/3): it gives a region more weight than its area, because people judge by
    the worst part (Moorthy and Bovik, "Visual importance pooling", 2009), and agrees with both ends (0 and 1).
    """
    return PRISTINE_MOS - (PRISTINE_MOS - global_mos(kind, level)) * area**REGION_EXPONENT


def severity(kind: Distortion, level: float) -> float:
    """Visible strength of a distortion, on 1 (not seen) to 5, from the mean score.

    Levels alone do not say it: 3 is the mildest of mean shift and contrast change, and 2 of darkening is not seen.
    """
    return float(np.clip(severity_at(global_mos(kind, level)), 1, 5))


def severity_at(mos: float) -> float:
    """Visible strength of a distortion all over an image of that mean score; below 1 and above 5 beyond the ends."""
    return 1 + 4 * (PRISTINE_MOS - mos) / (PRISTINE_MOS - _WORST_MOS)

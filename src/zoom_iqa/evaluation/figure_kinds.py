"""The kind of figures a data set has in ``metrics.json``, which readers tell by the figures themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoom_iqa.metrics.undefined import Undefined

OWN_SCALE = str(Undefined("scores are on the method's own scale"))
"""In the place of figures that need ratings on 1-5 where a peer's are not; files of every version have these words."""


def of_comparisons(figures: Mapping[str, Any]) -> bool:
    """Whether figures are of choices between two images, and not of ratings.

    ``accuracy`` decides, though files name no kind: every evaluation of comparisons has written it, and ratings have
    no such figure.
    """
    return "accuracy" in figures


def on_mos_scale(figures: Mapping[str, Any]) -> bool:
    """Whether the ratings that figures are of can be compared with opinion scores.

    RMSE decides: it has a value for any rating on 1-5, and every version has written it.
    """
    return bool(figures["rmse"] != OWN_SCALE)

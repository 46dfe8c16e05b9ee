"""Properties of images that a data set publishes beside its scores, each with its place in the whole set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoom_iqa.base.indicators import Indicator
from zoom_iqa.data.benchmarks.label import Label


def placed(labels: Sequence[Label]) -> list[tuple[Indicator, ...]]:
    """The indicators of each label. Scales differ between publishers, so that each says how many images lie lower."""
    names = dict.fromkeys(name for label in labels for name in label.indicators)
    columns = {name: np.sort([one.indicators[name] for one in labels if name in one.indicators]) for name in names}
    return [
        tuple(
            Indicator(name, value, float(np.searchsorted(columns[name], value) / len(columns[name])))
            for name, value in label.indicators.items()
        )
        for label in labels
    ]

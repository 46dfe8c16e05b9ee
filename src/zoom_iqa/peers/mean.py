"""The mean predictor: what is gained without looking at an image."""

from __future__ import annotations

import statistics

from PIL.Image import Image

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.datasets import ImageDataset


class MeanPredictor:
    """Says the mean score of the images it has learned from, whatever it is shown.

    Its correlations are undefined; its RMSE is what any method on 1-5 must beat.
    """

    lower_is_better = False
    on_mos_scale = True

    def __init__(self) -> None:
        self._mean: float | None = None

    def fit(self, dataset: ImageDataset) -> None:
        """Take the mean of the labels; no image is opened."""
        self._mean = statistics.fmean(item.mos for item in dataset.items())

    def score(self, image: Image) -> float:
        """The mean.

        Raises:
            ConfigError: nothing has been learned yet.
        """
        if self._mean is None:
            raise ConfigError("peer=mean has learned nothing; call fit first")
        return self._mean

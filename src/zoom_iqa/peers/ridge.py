"""Ridge regression of the mean opinion score on frozen features: what a linear map on a general network reaches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from zoom_iqa.base.errors import ConfigError, DataError, ImageError
from zoom_iqa.data.datasets import ImageDataset

Array = NDArray[np.float64]
CONSTANT = 1e-12
"""Of its largest value: the spread that a channel has by rounding alone."""


class Backbone(Protocol):
    """Frozen features of an image."""

    def features(self, image: Image) -> Array:
        """A vector of one length for images of any size."""
        ...


@dataclass(frozen=True, eq=False)
class LinearMap:
    """``offset + weights . (features - centre) / spread``, and the ``strength`` it was fitted with."""

    centre_F: Array
    spread_F: Array
    weights_F: Array
    offset: float
    strength: float

    def __call__(self, features_F: Array) -> float:
        """The value at one vector."""
        return float(self.offset + self.weights_F @ ((features_F - self.centre_F) / self.spread_F))


class RidgeRegression:
    """Learns a linear map from ``backbone``'s standardised features.

    ``strengths``: the penalties to choose from, in units of the squared standardised features; the one with the least
    leave-one-out error on the images learned from is taken.

    Raises:
        ConfigError: no strength, or one that is not above 0.
    """

    lower_is_better = False
    on_mos_scale = True

    def __init__(self, *, backbone: Backbone, strengths: Sequence[float]) -> None:
        if not strengths or not all(strength > 0 for strength in strengths):
            raise ConfigError(f"peer.strengths={list(strengths)}: give at least one number above 0")
        self._backbone, self._strengths = backbone, tuple(strengths)
        self._map: LinearMap | None = None

    def fit(self, dataset: ImageDataset) -> None:
        """Learn from every image of ``dataset`` that has features; how many have none is said.

        Raises:
            DataError: there are fewer than three images with features.
            ImageError: an image cannot be read.
        """
        rows: list[tuple[Array, float]] = []
        left_out: list[str] = []
        for index, item in enumerate(dataset.items()):
            image = dataset[index].image  # a file that cannot be read is an error here too
            try:
                rows.append((self._backbone.features(image), item.mos))
            except ImageError as error:
                left_out.append(f"{item.name}: {error}")
        if left_out:
            print(f"ridge: {len(left_out)} images have no features to learn from: {left_out[0]}", file=sys.stderr)
        if len(rows) < 3:
            raise DataError(f"a ridge regression needs features of at least 3 images; got {len(rows)}", left_out)
        self._map = fit_ridge(np.stack([row[0] for row in rows]), np.array([row[1] for row in rows]), self._strengths)

    def score(self, image: Image) -> float:
        """The map's value; a line may leave the scale of 1-5.

        Raises:
            ConfigError: nothing has been learned yet.
        """
        if self._map is None:
            raise ConfigError("peer=ridge has learned nothing; call fit first")
        return self._map(self._backbone.features(image))


def fit_ridge(features_NF: Array, targets_N: Array, strengths: Sequence[float]) -> LinearMap:
    """The ridge solution whose leave-one-out error, in closed form from one decomposition, is the least.

    Leave-one-out residuals are e_i / (1 - h_ii), with the hat matrix's diagonal (Allen's PRESS, 1974).

    Raises:
        DataError: fewer than three rows, or values that are not finite.
    """
    if len(features_NF) < 3 or not (np.isfinite(features_NF).all() and np.isfinite(targets_N).all()):
        raise DataError(f"a ridge regression needs finite features of at least 3 images; got {len(features_NF)}")
    centre_F, spread_F = features_NF.mean(axis=0), features_NF.std(axis=0)
    least_F = CONSTANT * np.abs(features_NF).max(axis=0)
    spread_F = np.where(spread_F > least_F, spread_F, np.inf)  # a channel that never changes says nothing
    left_NK, singular_K, right_KF = np.linalg.svd((features_NF - centre_F) / spread_F, full_matrices=False)
    offset = float(targets_N.mean())
    projected_K = left_NK.T @ (targets_N - offset)

    def left_out_error(strength: float) -> float:
        shrunk_K = singular_K**2 / (singular_K**2 + strength)
        residuals_N = targets_N - offset - left_NK @ (shrunk_K * projected_K)
        leverage_N = left_NK**2 @ shrunk_K + 1 / len(targets_N)
        return float(np.mean((residuals_N / (1 - leverage_N)) ** 2))

    strength = min(strengths, key=left_out_error)
    weights_F = right_KF.T @ (singular_K / (singular_K**2 + strength) * projected_K)
    return LinearMap(centre_F, spread_F, weights_F, offset, strength)

"""BRISQUE: a support vector regression on the statistics of natural scenes, at two scales.

Mittal, Moorthy, Bovik, "No-reference image quality assessment in the spatial domain", IEEE TIP 21(12), 2012. Model and
feature ranges are read from the installed package `brisque`, whose code does not run under NumPy 2; the features are
those this model was trained with (asymmetric fits everywhere, half size by a cubic filter without antialiasing).
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from zoom_iqa.base.errors import ConfigError, ImageError
from zoom_iqa.peers.natural_scene import Array, fit_asymmetric, luminance, normalised
from zoom_iqa.peers.parameter_files import file_of_package

FEATURES = 36
SMALLEST_SIDE = 16
"""Pixels; below it the half size has fewer pixels than the window's own support."""


@dataclass(frozen=True, eq=False)
class SupportVectors:
    """An epsilon-SVR with a radial kernel: N vectors of 36 scaled features, their coefficients, and two constants."""

    vectors_NF: Array
    coefficients_N: Array
    gamma: float
    offset: float

    def value(self, scaled_F: Array) -> float:
        """The regression's value at one point."""
        distances_N = ((self.vectors_NF - scaled_F) ** 2).sum(axis=1)
        return float(self.coefficients_N @ np.exp(-self.gamma * distances_N) - self.offset)


class BRISQUE:
    """Difference to a pristine image as people would put it, about 0 to 100: lower is better.

    Raises:
        ConfigError: the package that holds the parameters is not installed, or holds others than expected.
    """

    lower_is_better = True
    on_mos_scale = False

    def __init__(self) -> None:
        self._model_file = file_of_package("brisque", "models/svm.txt", peer="brisque")
        self._range_file = file_of_package("brisque", "models/normalize.pickle", peer="brisque")

    def score(self, image: Image.Image) -> float:
        """The regression's value.

        Raises:
            ImageError: the image is too small, or so flat that nothing can be fitted.
        """
        if min(image.size) < SMALLEST_SIDE:
            raise ImageError(
                f"BRISQUE has no score for {image.width} x {image.height} pixels; it needs {SMALLEST_SIDE} on each side"
            )
        features_F = scene_features(luminance(image))
        if not np.isfinite(features_F).all():
            raise ImageError("BRISQUE has no score for an image without texture")
        low_F, high_F = self._ranges
        return self._model.value(2 * (features_F - low_F) / (high_F - low_F) - 1)

    @cached_property
    def _model(self) -> SupportVectors:
        return read_support_vectors(self._model_file)

    @cached_property
    def _ranges(self) -> tuple[Array, Array]:
        return read_ranges(self._range_file)


def scene_features(luma: Array) -> Array:
    """18 features at full and 18 at half size of a luma on 0-255, shape (36,); NaN where there is no texture."""
    half = np.asarray(cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC), dtype=np.float64)
    return np.concatenate([_features(luma), _features(half)])


def read_support_vectors(path: Path) -> SupportVectors:
    """An epsilon-SVR in libsvm's text format.

    Raises:
        ConfigError: it is of another kind, or not of 36 features.
    """
    head, marker, body = path.read_text(encoding="ascii").partition("\nSV\n")
    settings = dict(line.split(maxsplit=1) for line in head.splitlines())
    if not marker or (settings.get("svm_type"), settings.get("kernel_type")) != ("epsilon_svr", "rbf"):
        raise ConfigError(f"peer=brisque: {path} is no radial epsilon-SVR; install the release constraints.txt names")
    rows = [line.split() for line in body.splitlines()]
    vectors_NF = np.zeros((len(rows), FEATURES))
    for vector_F, (_, *cells) in zip(vectors_NF, rows, strict=True):
        for cell in cells:
            number, value = cell.split(":")
            vector_F[int(number) - 1] = float(value)
    return SupportVectors(
        vectors_NF, np.array([float(row[0]) for row in rows]), float(settings["gamma"]), float(settings["rho"])
    )


def read_ranges(path: Path) -> tuple[Array, Array]:
    """Lowest and highest value of each feature in training, (36,) each; only plain numbers are unpickled.

    Raises:
        ConfigError: the file holds something else.
    """
    with path.open("rb") as file:
        try:
            values = _PlainUnpickler(file).load()
            low_F, high_F = (np.asarray(values[key], dtype=np.float64) for key in ("min_", "max_"))
        except (pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"peer=brisque: {path} holds no feature ranges ({error}); reinstall brisque") from error
    if low_F.shape != (FEATURES,) or high_F.shape != (FEATURES,):
        raise ConfigError(f"peer=brisque: {path} holds ranges of {low_F.size} features, not {FEATURES}")
    return low_F, high_F


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class and function: a pickle can otherwise run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def _features(luma: Array) -> Array:
    scene = normalised(luma)
    products = (
        scene[:, :-1] * scene[:, 1:],
        scene[:-1] * scene[1:],
        scene[:-1, :-1] * scene[1:, 1:],
        scene[1:, :-1] * scene[:-1, 1:],
    )
    fit = fit_asymmetric(scene.reshape(1, -1))
    features = [fit.alpha_N, (fit.left_N**2 + fit.right_N**2) / 2]
    for product in products:
        fit = fit_asymmetric(product.reshape(1, -1))
        features += [fit.alpha_N, fit.means, fit.left_N**2, fit.right_N**2]
    return np.concatenate(features)

"""Features of a pretrained network as dense targets: what a tower of a few photographs cannot learn by itself.

The network's channels at a cell are correlated and of unequal size, so the tower is asked for their first principal
components, each scaled to unit spread.

Legend: B views, N cells of a view, M cells of all views, C channels of the network, F features asked for.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.tiny_policy.statistics import CELL

_FITTED = 96  # views whose cells the components are found on: more cells than channels, several times over
_AT_ONCE = 16  # views that go through the network together then


class MapBackbone(Protocol):
    """A frozen convolutional network whose last map has one place a cell of 32 pixels."""

    def channel_maps(self, pixels_BHW3: Tensor) -> Tensor:
        """Maps (B, C, h, w) of uint8 RGB images, without gradient, on their device."""
        ...


class Teacher:
    """The first ``features`` principal components of a network's channels over cells.

    Raises:
        ConfigError: the network's map is not one place a cell.
    """

    def __init__(self, *, backbone: Any, features: int) -> None:
        self._backbone: MapBackbone = backbone
        self.features = features
        self._mean_C: Tensor | None = None
        self._basis_CF: Tensor | None = None

    @torch.no_grad()
    def fit(self, pixels_BHW3: Tensor) -> None:
        """Find the components on these views."""
        parts = pixels_BHW3[:_FITTED].split(_AT_ONCE)
        channels_MC = torch.cat([self._channels(part).flatten(0, 1) for part in parts])
        self._mean_C = channels_MC.mean(0)
        centred_MC = channels_MC - self._mean_C
        values_C, vectors_CC = torch.linalg.eigh(centred_MC.T @ centred_MC / len(centred_MC))
        spread_F = values_C[-self.features :].clamp_min(1e-6).sqrt()
        self._basis_CF = vectors_CC[:, -self.features :] / spread_F

    @torch.no_grad()
    def __call__(self, pixels_BHW3: Tensor) -> Tensor:
        """Targets (B, N, F), cells row by row; :meth:`fit` comes first."""
        assert self._mean_C is not None, "fit comes first"
        assert self._basis_CF is not None, "fit comes first"
        return (self._channels(pixels_BHW3) - self._mean_C) @ self._basis_CF

    def _channels(self, pixels_BHW3: Tensor) -> Tensor:
        maps_BChw = self._backbone.channel_maps(pixels_BHW3)
        cells = (pixels_BHW3.shape[1] // CELL, pixels_BHW3.shape[2] // CELL)
        if tuple(maps_BChw.shape[2:]) != cells:
            raise ConfigError(
                f"vision.teacher: its map is {tuple(maps_BChw.shape[2:])} places, a view has {cells} cells"
            )
        return maps_BChw.flatten(2).mT.float()

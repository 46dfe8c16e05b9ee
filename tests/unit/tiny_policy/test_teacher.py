"""Targets from a teacher: principal components of unit spread, one vector a cell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.tiny_policy.teacher import Teacher


class Mixed:
    """Three channels of which the third is twice the first: the cells' mean red and green."""

    def channel_maps(self, pixels_BHW3: Tensor) -> Tensor:
        cells = torch.nn.functional.avg_pool2d(pixels_BHW3.float().permute(0, 3, 1, 2), 32)
        red, green = cells[:, 0], cells[:, 1]
        return torch.stack([red, green, 2 * red], 1)


def _views() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, 256, (8, 3, 2, 3), generator=generator, dtype=torch.uint8)
    return cells.repeat_interleave(32, 2).repeat_interleave(32, 3).permute(0, 2, 3, 1)


def test_components_are_uncorrelated_and_of_unit_spread():
    teacher = Teacher(backbone=Mixed(), features=2)
    teacher.fit(_views())
    targets = teacher(_views())
    assert targets.shape == (8, 6, 2)
    flat = targets.flatten(0, 1)
    torch.testing.assert_close(flat.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat.T @ flat / len(flat), torch.eye(2), atol=1e-3, rtol=0)


def test_a_map_of_another_grid_is_refused():
    class Fine(Mixed):
        def channel_maps(self, pixels_BHW3: Tensor) -> Tensor:
            return super().channel_maps(pixels_BHW3).repeat_interleave(2, 3)

    with pytest.raises(ConfigError, match=r"its map is \(2, 6\) places, a view has \(2, 3\) cells"):
        Teacher(backbone=Fine(), features=2).fit(_views())

"""The tower's first layer as one matrix product: its convolution steps over patches that do not overlap.

Legend: P patches, D values of a patch, H hidden width of the tower.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.policy.module_class import put_before


def install(tower: Any) -> None:
    """Let a tower embed patches by a product."""
    put_before(tower.patch_embed, _PatchProduct)


class _PatchProduct(torch.nn.Module):
    """Stands before a patch embedding's class."""

    proj: torch.nn.Module

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Patches (P, D) to (P, H)."""
        if type(self.proj) is not torch.nn.Conv3d:  # an adapter around it
            adapted: Tensor = super().forward(hidden_states)
            return adapted
        weight_HD = self.proj.weight.flatten(1)
        return F.linear(hidden_states.view(-1, weight_HD.shape[1]).to(weight_HD.dtype), weight_HD, self.proj.bias)

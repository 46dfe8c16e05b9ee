"""The discrete cosine transform of a block, as JPEG takes it: what filters and statistics of detail are made from."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_basis(size: int) -> Tensor:
    """Orthonormal DCT-II matrix (size, size); rows are atoms."""
    k, x = torch.arange(size)[:, None], torch.arange(size)[None]
    basis = torch.cos(math.pi * (x + 0.5) * k / size) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis

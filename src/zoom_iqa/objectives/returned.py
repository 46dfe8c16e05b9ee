"""What a part of somebody's own returned, held against what it must."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def unlike(found: object, *, shape: Sequence[int], dtype: torch.dtype | None = None) -> str | None:
    """What is wrong with ``found`` as a tensor of this shape and, where one is given, type; None where nothing is."""
    if not isinstance(found, torch.Tensor):
        return f"a {type(found).__name__}"
    if tuple(found.shape) != tuple(shape):
        return f"shape {tuple(found.shape)}"
    return None if dtype in (None, found.dtype) else str(found.dtype)

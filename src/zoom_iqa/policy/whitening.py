"""Whitened filters of natural patches: a start for a patch embedding that would take very long to find them itself.

Legend: N patches, D values of a patch (channels * temporal * patch * patch), K filters.
"""

from __future__ import annotations

import torch
from torch import Tensor


def whitening_filters(patches_ND: Tensor, count: int) -> Tensor:
    """Principal components of patches, each scaled so that its response has unit variance: (K, D), K = ``count``.

    Natural images put nearly all variance into low spatial frequencies; scaled alike, the fine detail that blur,
    noise and compression change weighs as much as the layout. Raises ValueError when there are fewer patches or
    values than ``count``.
    """
    if count > min(patches_ND.shape):
        raise ValueError(f"count={count}: {tuple(patches_ND.shape)} patches give at most {min(patches_ND.shape)}")
    centred = (patches_ND - patches_ND.mean(0)).double()
    variances_D, components_DD = torch.linalg.eigh(centred.T @ centred / (len(centred) - 1))
    top = torch.arange(len(variances_D) - 1, len(variances_D) - 1 - count, -1)
    scale_K = variances_D[top].clamp_min(1e-12).rsqrt()
    return (components_DD[:, top] * scale_K).T.to(patches_ND.dtype)

"""A start for a vision tower that is to judge quality: oriented band-pass filters, and a first block that squares them.

Noise, blur, compression and sharpening differ in the energy of each band of fine detail, a quantity that a random tower
takes very long to find. The patch embedding starts as atoms of the 8 x 8 discrete cosine transform (as in
JPEG), the first MLP as their squares: silu(z) z + silu(-z) (-z) = z^2.

Legend: K filters, N patches, D values of a patch (channels, height, width), S side of a patch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoom_iqa.tiny_policy.cosines import cosine_basis

BLOCK = 8
CHROMA_BANDS = 40  # of the 63, the coarser ones: eyes and cameras see fine detail in brightness
FREE_CHANNELS = 24  # of the embedding, left to learning
CONSTANT_CHANNELS = 8  # of these, held at a constant: RMS norms keep only ratios, a constant keeps absolute energy
CONSTANT = 2.0
QUIET = 0.1  # scale of what the start does not use


def install_energy_filters(visual: Any, patches_ND: Tensor, *, image_std: Tensor, seed: int) -> None:
    """Set the patch embedding and the first block of a Qwen2.5-VL vision tower, in place.

    ``patches_ND`` are preprocessed patches: every filter is scaled to unit spread over them. ``image_std`` (3,) is the
    preprocessing's, undone inside the filters. The tower's MLP needs two units per filter; filters beyond that are not
    squared.
    """
    generator = torch.Generator().manual_seed(seed)
    width = visual.patch_embed.proj.weight.shape[0]
    side = visual.patch_embed.proj.weight.shape[-1]
    filters = dct_filters(width - FREE_CHANNELS, side, image_std, generator).flatten(1)
    filters = filters / (patches_ND @ filters.T).std(0).clamp_min(1e-6)[:, None]
    block = visual.blocks[0]
    with torch.no_grad():
        embedding_WD = visual.patch_embed.proj.weight.view(width, -1)
        embedding_WD.normal_(0, 0.002, generator=generator)
        embedding_WD[: len(filters)] = filters
        block.attn.proj.weight.mul_(QUIET)
        block.attn.proj.bias[len(filters) : len(filters) + CONSTANT_CHANNELS] = CONSTANT
        _square(block.mlp, len(filters), generator)


def dct_filters(count: int, side: int, image_std: Tensor, generator: torch.Generator) -> Tensor:
    """``count`` filters (K, 3, S, S): block means of luma and chroma, luma atoms of every band, coarse chroma atoms.

    An atom sits at one random place of the patch. One of four atoms is chroma.
    """
    luma, blue, red = (image_std * torch.tensor(weights) for weights in _YCBCR)
    bands = [(u, v) for u in range(BLOCK) for v in range(BLOCK) if u + v > 0]
    coarse = sorted(bands, key=lambda band: band[0] ** 2 + band[1] ** 2)[:CHROMA_BANDS]
    atoms = cosine_basis(BLOCK)
    filters: list[Tensor] = []

    def add(colour: Tensor, band: tuple[int, int], top: int, left: int) -> None:
        filter_3SS = torch.zeros(3, side, side)
        atom = torch.outer(atoms[band[0]], atoms[band[1]])
        filter_3SS[:, top : top + BLOCK, left : left + BLOCK] = colour[:, None, None] * atom
        filters.append(filter_3SS)

    for top in (0, side - BLOCK):
        for left in (0, side - BLOCK):
            for colour in (luma, blue, red):
                add(colour, (0, 0), top, left)
    for i in range(count - len(filters)):
        top, left = torch.randint(0, side - BLOCK + 1, (2,), generator=generator).tolist()
        if i % 4 == 3:
            add((blue, red)[i // 4 % 2], coarse[i // 8 % len(coarse)], top, left)
        else:
            add(luma, bands[(i - i // 4) % len(bands)], top, left)
    return torch.stack(filters[:count])


def _square(mlp: Any, count: int, generator: torch.Generator) -> None:
    """Make pairs of units of a SwiGLU the squares of the first channels; quiet the rest."""
    mlp.gate_proj.weight.mul_(QUIET)
    mlp.up_proj.weight.mul_(QUIET)
    for channel in range(min(count, mlp.gate_proj.weight.shape[0] // 2)):
        for unit, sign in ((2 * channel, 1.0), (2 * channel + 1, -1.0)):
            mlp.gate_proj.weight[unit, channel] += sign
            mlp.up_proj.weight[unit, channel] += sign
    mlp.down_proj.weight.normal_(0, 0.1, generator=generator)


_YCBCR = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))

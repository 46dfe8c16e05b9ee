"""Statistics of image cells that no-reference quality measures are built from, as dense targets for a vision tower.

Band energies of the block DCT (as BLIINDS-II), gradients and their sparsity (as BRISQUE), flatness, clipping and
colour: each changes with some distortion, is cheap to compute, and tells the tower in every cell what to look at.

Legend: B images, H x W pixels, h x w cells, K statistics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.tiny_policy.cosines import cosine_basis

CELL = 32  # pixels: what one token of the language model covers
STATISTICS = 28
_BLOCK = 8
_BAND_EDGES = (0.5, 1.6, 2.6, 3.9, 5.3, 7.1)  # radii in the 8 x 8 DCT plane; band 0 is the mean
_FLAT = 0.006  # a step between neighbours below 1.5 grey levels


def cell_statistics(pixels_BHW3: Tensor) -> Tensor:
    """Statistics (B, h * w, K) of the cells of uint8 RGB images, float32, most of them logarithms of energies."""
    rgb = pixels_BHW3.float() / 255
    luma = rgb @ torch.tensor([0.299, 0.587, 0.114], device=rgb.device)
    blue, red = 0.564 * (rgb[..., 2] - luma), 0.713 * (rgb[..., 0] - luma)
    maps = [
        *_channel(luma, (1, 2, 3, 4, 5, 6)),
        *_channel(blue, (2, 4, 6)),
        *_channel(red, (2, 4, 6)),
        *_gradients(luma),
        _mean((luma > 0.98).float()),
        _mean((luma < 0.02).float()),
    ]
    return torch.stack(maps, -1).flatten(1, 2)


def _channel(channel_BHW: Tensor, bands: tuple[int, ...]) -> list[Tensor]:
    """Mean, log variance and log energy of DCT bands."""
    mean = _mean(channel_BHW)
    batch, height, width = channel_BHW.shape
    blocks = channel_BHW.reshape(batch, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(2, 3)
    basis = cosine_basis(_BLOCK).to(channel_BHW.device)
    energy = (basis @ blocks @ basis.T).square()
    frequency = torch.arange(_BLOCK).float()
    band = torch.bucketize(torch.hypot(frequency[:, None], frequency[None]), torch.tensor(_BAND_EDGES)).to(
        energy.device
    )
    of_band = [F.avg_pool2d(energy[..., band == b].mean(-1), CELL // _BLOCK) for b in bands]
    return [mean, _log(_mean(channel_BHW.square()) - mean.square()), *(_log(e) for e in of_band)]


def _gradients(luma_BHW: Tensor) -> list[Tensor]:
    """Log moments of neighbour differences and of a Laplacian, and the share of flat pairs."""
    across = F.pad(luma_BHW.diff(dim=2), (0, 1))
    down = F.pad(luma_BHW.diff(dim=1), (0, 0, 0, 1))
    detail = luma_BHW - F.avg_pool2d(luma_BHW, 3, stride=1, padding=1, count_include_pad=False)
    return [
        _log(_mean(across.square())),
        _log(_mean(down.square())),
        _log(_mean(across.abs())),
        _log(_mean(detail.abs())),
        _log(_mean(detail.square())),
        _log(_mean(detail**4)),
        _mean((across.abs() < _FLAT).float()),
        _mean((down.abs() < _FLAT).float()),
    ]


def _mean(map_BHW: Tensor) -> Tensor:
    return F.avg_pool2d(map_BHW, CELL)


def _log(energy: Tensor) -> Tensor:
    return torch.log(energy.clamp_min(0) + 1e-6)  # 1e-6: a quarter of a grey level

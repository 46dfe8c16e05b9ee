"""Cell statistics and probe geometry on pictures whose values are known."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from zoom_iqa.tiny_policy.probe import cells_inside
from zoom_iqa.tiny_policy.statistics import STATISTICS, cell_statistics
from zoom_iqa.tiny_policy.views import Views


def test_flat_grey_has_its_mean_no_energy_and_only_flat_pairs():
    cells = cell_statistics(torch.full((1, 32, 64, 3), 51, dtype=torch.uint8))
    assert cells.shape == (1, 2, STATISTICS)
    assert cells[0, :, 0].tolist() == pytest.approx([0.2, 0.2], abs=1e-5)
    assert cells[0, :, 1:8].max() < np.log(4e-6)  # 1e-6, and the rounding of a variance
    assert cells[0, :, -4:].tolist() == [[1, 1, 0, 0]] * 2


def test_band_energies_are_those_of_scipys_dct():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    luma = pixels.astype(float) / 255 @ [0.299, 0.587, 0.114]
    energy = np.zeros((8, 8))
    for y in range(0, 32, 8):
        for x in range(0, 32, 8):
            energy += dctn(luma[y : y + 8, x : x + 8], norm="ortho") ** 2 / 16
    radius = np.hypot(*np.mgrid[:8, :8])
    expected = [
        np.log(energy[(radius > low) & (radius <= high)].mean() + 1e-6)
        for low, high in ((0.5, 1.6), (1.6, 2.6), (2.6, 3.9), (3.9, 5.3), (5.3, 7.1), (7.1, 99))
    ]
    np.testing.assert_allclose(cell_statistics(torch.tensor(pixels)[None])[0, 0, 2:8], expected, rtol=1e-4)


def test_cells_count_as_distorted_where_their_centre_is():
    views = Views(
        pixels_BHW3=torch.zeros(2, 64, 96, 3, dtype=torch.uint8),
        mos_B=torch.ones(2),
        kind_B=torch.ones(2, dtype=torch.long),
        severity_B=torch.ones(2),
        local_B=torch.tensor([True, False]),
        region_B4=torch.tensor([[0.4, -0.2, 1.5, 0.5], [0.0, 0.0, 1.0, 1.0]]),
        picture_B=torch.zeros(2, dtype=torch.long),
    )
    inside = cells_inside(views)
    assert inside[0].reshape(2, 3).tolist() == [[False, True, True], [False, False, False]]
    assert inside[1].all()

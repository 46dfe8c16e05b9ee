"""Energy filters: unit responses, true DCT atoms, and a first MLP whose units add up to squares."""

import numpy as np
import torch
from scipy.fft import idctn

from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.build import TextShape, VisionShape, build_tiny_policy
from zoom_iqa.tiny_policy.energy_filters import CONSTANT, FREE_CHANNELS, dct_filters, install_energy_filters
from zoom_iqa.tiny_policy.tokenizer import train_tokenizer

STD = torch.tensor([0.27, 0.26, 0.28])
WIDTH = 64


def small_policy() -> Policy:
    return build_tiny_policy(
        vision=VisionShape(
            width=WIDTH, depth=2, heads=2, mlp_width=128, patch_size=16, window_size=128, full_attention=(1,),
            min_pixels=1024, max_pixels=49152,
        ),
        text=TextShape(width=32, depth=1, heads=2, key_value_heads=1, mlp_width=32, max_positions=512),
        tokenizer=train_tokenizer(["a few words"], vocab_size=270),
        seed=0,
        image_cache=4,
    )  # fmt: skip


def test_filters_have_unit_spread_over_the_patches_they_are_scaled_on():
    visual = small_policy().model.model.visual
    patches = torch.randn(500, 768, generator=torch.Generator().manual_seed(0)) * 3 + 1
    install_energy_filters(visual, patches, image_std=STD, seed=0)
    responses = patches @ visual.patch_embed.proj.weight.view(WIDTH, -1).T
    used = WIDTH - FREE_CHANNELS
    torch.testing.assert_close(responses[:, :used].std(0), torch.ones(used), atol=1e-4, rtol=0)


def test_a_constant_stands_beside_the_signal():
    visual = small_policy().model.model.visual
    install_energy_filters(visual, torch.randn(500, 768), image_std=STD, seed=0)
    bias = visual.blocks[0].attn.proj.bias
    assert (bias == CONSTANT).nonzero().flatten().tolist() == list(range(40, 48))


def test_luma_filters_are_scipys_dct_atoms_of_brightness():
    """The first filter after the twelve block means is a luma atom; its place is where it is not zero."""
    filters = dct_filters(13, 16, STD, torch.Generator().manual_seed(0))
    atom_SS = (filters[12] / STD[:, None, None]).sum(0).numpy()  # the luma weights add up to 1
    top, left = (int(np.flatnonzero(np.abs(atom_SS).sum(axis) > 1e-6)[0]) for axis in (1, 0))
    spectrum = np.zeros((8, 8))
    spectrum[0, 1] = 1  # the band listed first
    np.testing.assert_allclose(atom_SS[top : top + 8, left : left + 8], idctn(spectrum, norm="ortho"), atol=1e-6)


def test_chroma_filters_do_not_answer_to_grey():
    filters = dct_filters(120, 16, STD, torch.Generator().manual_seed(0))
    grey = torch.rand(16, 16, generator=torch.Generator().manual_seed(1))
    response = ((filters / STD[:, None, None]) * grey).sum((1, 2, 3)).abs()
    chroma = torch.tensor([i >= 12 and (i - 12) % 4 == 3 for i in range(120)])
    assert response[chroma].max() < 1e-2 * response[~chroma].median()


def test_pairs_of_units_add_up_to_the_square():
    mlp = small_policy().model.model.visual.blocks[0].mlp
    with torch.no_grad():
        for parameter in (*mlp.gate_proj.parameters(), *mlp.up_proj.parameters()):
            parameter.zero_()
    visual = small_policy().model.model.visual
    visual.blocks[0].mlp = mlp
    install_energy_filters(visual, torch.randn(500, 768), image_std=STD, seed=0)
    x = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(2))
    units = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
    used = WIDTH - FREE_CHANNELS
    squares = units[:, : 2 * used].view(7, used, 2).sum(-1)
    torch.testing.assert_close(squares, x[:, :used] ** 2, atol=1e-5, rtol=1e-5)

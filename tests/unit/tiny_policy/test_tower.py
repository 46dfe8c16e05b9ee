"""The tower sees in the warm-up exactly what it sees in a prompt, and the warm-up trains it."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.objectives.schedules import Constant
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.build import TextShape, VisionShape, build_tiny_policy
from zoom_iqa.tiny_policy.probe import VisionProbe
from zoom_iqa.tiny_policy.tokenizer import train_tokenizer
from zoom_iqa.tiny_policy.tower import TowerWarmup, patchify, view_tokens


def small_policy(seed: int = 0, full: tuple[int, ...] = (0, 1)) -> Policy:
    return build_tiny_policy(
        vision=VisionShape(
            width=32, depth=2, heads=2, mlp_width=32, patch_size=16, window_size=128, full_attention=full,
            min_pixels=1024, max_pixels=49152,
        ),
        text=TextShape(width=32, depth=1, heads=2, key_value_heads=1, mlp_width=32, max_positions=512),
        tokenizer=train_tokenizer(["a few words"], vocab_size=270),
        seed=seed,
        image_cache=4,
    )  # fmt: skip


def test_patches_and_token_order_are_the_processors():
    policy = small_policy()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), dtype=np.uint8)
    theirs = policy.image_processor(images=[Image.fromarray(p) for p in pixels], return_tensors="pt")
    ours, grid = patchify(policy, torch.from_numpy(pixels))
    torch.testing.assert_close(ours, theirs["pixel_values"], atol=1e-5, rtol=0)
    assert grid.tolist() == theirs["image_grid_thw"].tolist()


@pytest.mark.parametrize("shape", [(96, 128), (64, 160)])
def test_tokens_of_many_views_are_those_of_the_tower_itself(shape):
    policy = small_policy()
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, *shape, 3), dtype=np.uint8))
    theirs = policy.model.model.visual(*patchify(policy, pixels)).pooler_output
    torch.testing.assert_close(view_tokens(policy, pixels).flatten(0, 1), theirs, atol=1e-6, rtol=1e-5)


def test_a_tower_with_windows_is_asked_as_it_is():
    policy = small_policy(full=(1,))
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8))
    theirs = policy.model.model.visual(*patchify(policy, pixels)).pooler_output
    torch.testing.assert_close(view_tokens(policy, pixels).flatten(0, 1), theirs)


def test_tokens_come_row_by_row():
    policy = small_policy()
    pixels = torch.zeros(1, 64, 128, 3, dtype=torch.uint8)
    before = view_tokens(policy, pixels)
    with torch.no_grad():
        for block in policy.model.model.visual.blocks:
            block.attn.proj.weight.zero_()  # tokens no longer see one another
    plain = view_tokens(policy, pixels)
    pixels[:, 32:, 64:96] = 255
    changed = (view_tokens(policy, pixels) - plain).abs().sum(-1)[0] > 1e-6
    assert changed.tolist() == [False] * 6 + [True, False]
    assert before.shape == (1, 8, 32)


def test_equal_seeds_give_equal_weights_and_others_others():
    first, same, other = (small_policy(seed).model.lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("steps", [3])
def test_a_warm_up_is_repeatable_and_changes_the_tower_only(steps):
    policies = [small_policy(), small_policy()]
    untouched = small_policy().model.state_dict()
    for policy in policies:
        _warm_up(steps).run(policy)
    first, second = (policy.model.state_dict() for policy in policies)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        assert torch.equal(value, untouched[name]) != name.startswith("model.visual."), name


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_tower_that_goes_on_keeps_what_it_has_learned(goes_on: bool):
    policy = small_policy()
    before = policy.model.model.visual.patch_embed.proj.weight.clone()
    _warm_up(1, lr=0.0).run(policy, goes_on=goes_on)
    assert torch.equal(policy.model.model.visual.patch_embed.proj.weight, before) == goes_on


def _warm_up(steps: int, lr: float = 1e-3) -> TowerWarmup:
    images = EmbeddedSet(
        split="train", size=150, seed=5, local_fraction=0.2, pristine_fraction=0.1, procedural_fraction=0.1,
        continuous_levels=True, augmented=True, references=None,
    )  # fmt: skip
    probe = partial(
        VisionProbe, score_weight=1.0, kind_weight=0.3, severity_weight=1.0, statistics_weight=1.0, teacher_weight=0.5
    )
    return TowerWarmup(
        images=images, probe=probe, teacher=None, optimizer=partial(torch.optim.AdamW, lr=lr),
        lr_factor=Constant(value=1.0), steps=steps, batch_size=4, view_height=192, view_width=256,
        part_batch_size=4, part_height=96, part_width=128, pool_views=40,
        fresh_images=2, workers=0, device="cpu", seed=0,
    )  # fmt: skip

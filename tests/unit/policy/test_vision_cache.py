"""Features are computed once per key, and the least recently used leave."""

from __future__ import annotations

import pytest
import torch

from support.random_policy import turn1_prompt
from zoom_iqa.policy.encoding import EncodedImage
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache, encode_images


class CountingTower:
    """Passes calls on to a model and notes how many images each held."""

    def __init__(self, policy: Policy) -> None:
        self._model = policy.model
        self.parameters = policy.model.parameters
        self.images: list[int] = []

    def get_image_features(self, pixels: torch.Tensor, grids: torch.Tensor, *, return_dict: bool) -> object:
        self.images.append(len(grids))
        return self._model.get_image_features(pixels, grids, return_dict=return_dict)


@pytest.fixture
def tower(random_policy: Policy) -> CountingTower:
    return CountingTower(random_policy)


def images(policy: Policy, seeds: list[int]) -> list[EncodedImage]:
    return [policy.encode(turn1_prompt(seed)).images[0] for seed in seeds]  # 12 tokens each


def test_each_image_goes_through_the_tower_once(random_policy: Policy, tower: CountingTower) -> None:
    cache = VisionCache(model=tower, capacity=1000)
    first, second, again = cache(images(random_policy, [1, 2, 1]))
    cache(images(random_policy, [2, 3]))
    assert tower.images == [2, 1]
    assert again is first
    expected = encode_images(random_policy.model, images(random_policy, [1, 2]))
    torch.testing.assert_close(first, expected[0])
    torch.testing.assert_close(second, expected[1])
    assert not first.requires_grad


@pytest.mark.parametrize("capacity", [24, 35])  # two images of 12 tokens
def test_the_least_recently_used_image_leaves_when_tokens_exceed_the_capacity(
    capacity: int, random_policy: Policy, tower: CountingTower
) -> None:
    cache = VisionCache(model=tower, capacity=capacity)
    cache(images(random_policy, [1, 2]))
    cache(images(random_policy, [1]))
    cache(images(random_policy, [3]))  # 2 leaves
    assert tower.images == [2, 1]
    cache(images(random_policy, [1, 3]))
    assert tower.images == [2, 1]
    cache(images(random_policy, [2]))
    assert tower.images == [2, 1, 1]


def test_one_call_may_exceed_the_capacity(random_policy: Policy, tower: CountingTower) -> None:
    cache = VisionCache(model=tower, capacity=5)
    assert [len(features) for features in cache(images(random_policy, [1, 2, 1]))] == [12, 12, 12]
    assert tower.images == [2]


def test_clear_makes_a_new_version(random_policy: Policy, tower: CountingTower) -> None:
    cache = VisionCache(model=tower, capacity=1000)
    cache(images(random_policy, [1]))
    cache.clear()
    cache(images(random_policy, [1]))
    assert tower.images == [1, 1]
    assert cache.version == 1


def test_clear_gives_all_the_room_back(random_policy: Policy, tower: CountingTower) -> None:
    cache = VisionCache(model=tower, capacity=24)  # two images of 12 tokens
    cache(images(random_policy, [1, 2]))
    cache.clear()
    cache(images(random_policy, [3, 4]))
    cache(images(random_policy, [3, 4]))
    assert tower.images == [2, 2]

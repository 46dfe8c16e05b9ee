import numpy as np
import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.advantages import GroupAdvantages, group_advantages


def test_by_hand():
    # mean 2, deviations -2, 0, 2: unbiased std 2
    rewards = torch.tensor([[0.0, 2.0, 4.0]])
    assert group_advantages(rewards, normalize_std=False, eps=0.0).tolist() == [[-2.0, 0.0, 2.0]]
    assert group_advantages(rewards, normalize_std=True, eps=0.0).tolist() == [[-1.0, 0.0, 1.0]]
    assert group_advantages(rewards, normalize_std=True, eps=2.0).tolist() == [[-0.5, 0.0, 0.5]]


def test_against_numpy():
    rewards = np.random.default_rng(0).normal(size=(5, 8))
    expected = (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, ddof=1, keepdims=True) + 1e-4)
    actual = GroupAdvantages(normalize_std=True, eps=1e-4)(torch.tensor(rewards))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 3.7, 0.0])
@pytest.mark.parametrize("size", [1, 3, 7, 8])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # of three 0.1 the mean is not 0.1 in the latter
def test_constant_group_is_exactly_zero(value, size, normalize, dtype):
    rewards = torch.full((2, size), value, dtype=dtype)
    rewards[1] = torch.linspace(0, 1, size)
    advantages = group_advantages(rewards, normalize_std=normalize, eps=0.0)
    assert advantages[0].tolist() == [0.0] * size
    assert size == 1 or advantages[1].abs().max() > 0


def test_large_rewards_and_whole_ones_by_hand():
    # deviations -1, 1 and unbiased std sqrt(2), in whatever unit
    for rewards in (torch.tensor([[1e20, -1e20]]), torch.tensor([[3, 1]]), torch.tensor([[6e4, -6e4]]).half()):
        advantages = group_advantages(rewards, normalize_std=True, eps=0.0)
        assert advantages[0].tolist() == pytest.approx([2**-0.5, -(2**-0.5)], rel=1e-3)
        assert advantages.dtype == (rewards.dtype if rewards.is_floating_point() else torch.float32)


def test_negative_eps_is_refused():
    with pytest.raises(ConfigError, match=r"eps=-1"):
        GroupAdvantages(normalize_std=True, eps=-1)

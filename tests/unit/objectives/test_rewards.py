import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.rewards.formulas import (
    format_reward,
    group_statistics,
    rank_reward,
    rank_reward_against,
    score_reward,
)

NAN = math.nan


def rank_by_loops(ratings: np.ndarray, mos: np.ndarray, eps: float, mos_std: np.ndarray | None = None) -> np.ndarray:
    """The formula of the papers, one pair at a time, in NumPy and SciPy."""
    n_images, n_responses = ratings.shape
    groups = [row[~np.isnan(row)] for row in ratings]
    variance = [np.var(g, ddof=1) if len(g) > 1 else 0.0 for g in groups]
    rewards = np.zeros_like(ratings)
    for i in range(n_images):
        for k in range(n_responses):
            if np.isnan(ratings[i, k]):
                continue
            terms = []
            for j in range(n_images):
                if j == i or len(groups[j]) == 0:
                    continue
                z = (ratings[i, k] - groups[j].mean()) / math.sqrt(variance[i] + variance[j] + eps)
                if mos_std is not None:
                    q = norm.cdf((mos[i] - mos[j]) / math.sqrt(mos_std[i] ** 2 + mos_std[j] ** 2 + eps))
                else:
                    q = 1.0 if mos[i] > mos[j] else 0.5 if mos[i] == mos[j] else 0.0
                terms.append(math.sqrt(norm.cdf(z) * q) + math.sqrt(norm.sf(z) * (1 - q)))
            rewards[i, k] = np.mean(terms) if terms else 0.0
    return rewards


def random_case(seed: int, n_images: int, n_responses: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ratings = rng.uniform(1, 5, (n_images, n_responses)).round(2)
    ratings[rng.random(ratings.shape) < 0.2] = NAN
    mos = rng.uniform(1, 5, n_images).round(1)
    mos[1] = mos[0]
    return ratings, mos


def test_score_reward_by_hand():
    ratings = torch.tensor([[3.0, 3.35, 2.3, NAN]])
    expected = [1.0, math.exp(-0.5), math.exp(-2.0), 0.0]
    assert score_reward(ratings, torch.tensor([3.0]), sigma=0.35)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_score_reward_default_is_the_papers_tolerance():
    ratings, mos = torch.tensor([[3.35]]), torch.tensor([3.0])
    assert score_reward(ratings, mos).item() == pytest.approx(math.exp(-0.5), rel=1e-5)


def test_format_reward_is_one_or_zero():
    assert format_reward(torch.tensor([[True, False]])).tolist() == [[1.0, 0.0]]


def test_rank_reward_by_hand():
    # means 3 and 2, variances 2 and 2: z = (r - mean) / 2; Phi(1) = .841345
    ratings, mos = torch.tensor([[4.0, 2.0], [3.0, 1.0]]), torch.tensor([4.0, 2.0])
    expected = [[math.sqrt(0.841345), math.sqrt(0.5)], [math.sqrt(0.5), math.sqrt(0.841345)]]
    np.testing.assert_allclose(rank_reward(ratings, mos, eps=1e-6).numpy(), expected, rtol=1e-5)


def test_equal_mos_prefers_equal_means():
    ratings, mos = torch.tensor([[3.0, 5.0], [3.0, 3.0]]), torch.tensor([2.5, 2.5])
    first = rank_reward(ratings, mos, eps=1e-6)[0]
    # rating 3 against mean 3: p = q = 1/2, full fidelity
    assert first[0].item() == pytest.approx(1.0)
    assert first[1].item() < 0.9


@pytest.mark.parametrize("seed", range(5))
def test_rank_reward_equals_loops(seed):
    ratings, mos = random_case(seed, 6, 4)
    actual = rank_reward(torch.tensor(ratings), torch.tensor(mos), eps=1e-6).numpy()
    np.testing.assert_allclose(actual, rank_by_loops(ratings, mos, 1e-6), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_thurstone_preferences_equal_loops(seed):
    ratings, mos = random_case(seed, 5, 3)
    std = np.random.default_rng(seed).uniform(0.2, 0.9, 5)
    actual = rank_reward(torch.tensor(ratings), torch.tensor(mos), eps=1e-4, mos_std_B=torch.tensor(std)).numpy()
    np.testing.assert_allclose(actual, rank_by_loops(ratings, mos, 1e-4, std), atol=1e-12)


def test_image_without_valid_rating_forms_no_pair():
    ratings = torch.tensor([[4.0, 3.0], [NAN, NAN], [2.0, 1.0]])
    mos = torch.tensor([4.0, 5.0, 2.0])
    with_failure = rank_reward(ratings, mos, eps=1e-6)
    without = rank_reward(ratings[[0, 2]], mos[[0, 2]], eps=1e-6)
    assert torch.equal(with_failure[[0, 2]], without)
    assert with_failure[1].tolist() == [0.0, 0.0]


def test_no_partner_with_a_rating_earns_nothing():
    ratings = torch.tensor([[4.0, 3.0], [NAN, NAN]])
    assert rank_reward(ratings, torch.tensor([4.0, 2.0]), eps=1e-6).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_own_rating_varies_within_the_group():
    """With group means on both sides every response would get the same and the advantage would vanish."""
    ratings, mos = torch.tensor([[4.5, 3.0, 1.5], [2.0, 3.0, 2.5]]), torch.tensor([4.0, 2.0])
    rewards = rank_reward(ratings, mos, eps=1e-6)
    assert rewards[0, 0] > rewards[0, 1] > rewards[0, 2]
    both_means = rank_reward(ratings.mean(1, keepdim=True).expand(2, 3), mos, eps=1e-6)
    assert both_means.std(1).max() == 0


def test_far_tail_keeps_its_digits():
    ratings, mos = torch.tensor([[1.0, 1.1], [5.0, 4.9]]), torch.tensor([4.0, 2.0])
    rewards = rank_reward(ratings, mos, eps=0.2)
    expected = rank_by_loops(ratings.double().numpy(), mos.double().numpy(), 0.2)
    assert 0 < expected.max() < 1e-6
    np.testing.assert_allclose(rewards.numpy(), expected, rtol=1e-3)


def test_gathered_batch_equals_single_process():
    ratings, mos = random_case(7, 6, 4)
    whole = rank_reward(torch.tensor(ratings), torch.tensor(mos), eps=1e-6)
    statistics = group_statistics(torch.tensor(ratings), torch.tensor(mos))
    parts = [
        rank_reward_against(torch.tensor(ratings[a:b]), statistics, own_offset=a, eps=1e-6, thurstone=False)
        for a, b in ((0, 1), (1, 4), (4, 6))
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_statistics_of_few_ratings():
    statistics = group_statistics(
        torch.tensor([[NAN, NAN, NAN], [2.0, NAN, NAN], [2.0, 4.0, NAN]]), torch.tensor([1.0, 2.0, 3.0])
    )
    assert statistics.mean_N.isnan().tolist() == [True, False, False]
    assert statistics.mean_N[1:].tolist() == [2.0, 3.0]
    assert statistics.var_N.tolist() == [0.0, 0.0, 2.0]
    assert statistics.mos_std_N.isnan().all()


def test_single_image_is_refused_with_a_remedy():
    with pytest.raises(ConfigError, match="at least 2 images per step"):
        rank_reward(torch.tensor([[3.0, 4.0]]), torch.tensor([3.0]))


def test_missing_deviation_is_refused_with_a_remedy():
    with pytest.raises(ConfigError, match=r"1 of 2 lack it; use preference=ordinal"):
        rank_reward(torch.tensor([[3.0], [4.0]]), torch.tensor([3.0, 4.0]), mos_std_B=torch.tensor([0.5, NAN]))


def test_eps_must_be_positive():
    with pytest.raises(ConfigError, match=r"eps=0\.0 must be positive"):
        rank_reward(torch.tensor([[3.0], [4.0]]), torch.tensor([3.0, 4.0]), eps=0.0)


def test_labels_equal_up_to_rounding_are_a_tie_for_people_too():
    """q = 1/2: a response that rates both alike earns all, whichever label has the larger last digit."""
    ratings = torch.tensor([[3.0, 3.0], [3.0, 3.0]], dtype=torch.float64)
    for rounding in (0.0, 1e-12, -1e-12):
        reward = rank_reward(ratings, torch.tensor([3.1 + rounding, 3.1], dtype=torch.float64))
        np.testing.assert_allclose(reward, 1.0)
    reward = rank_reward(ratings, torch.tensor([3.1 + 1e-8, 3.1], dtype=torch.float64))
    np.testing.assert_allclose(reward, math.sqrt(0.5))


@pytest.mark.parametrize("stds", [None, torch.zeros(2, dtype=torch.float64)], ids=["ordinal", "thurstone"])
def test_ties_survive_the_rounding_of_means_and_shares_however_small_eps_is(stds):
    """Seven ratings of 3.3 have a mean that is not 3.3; people agree as closely. Both are ties, so the reward is 1."""
    ratings = torch.full((2, 7), 3.3, dtype=torch.float64)
    ratings[1] = ratings[1].sum() / 7  # a mean of trajectories on the other image
    assert ratings[1, 0] != ratings[0, 0]
    mos = torch.tensor([3.1, 3.1 + 1e-12], dtype=torch.float64)
    np.testing.assert_allclose(rank_reward(ratings, mos, eps=1e-30, mos_std_B=stds), 1.0, rtol=1e-12)

"""What must hold of rewards, advantages and token selection for any input.

Shapes: B images, G responses each.
"""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from support.token_batches import token_batch
from zoom_iqa.objectives.advantages import group_advantages
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.objectives.divergence import exact_kl, sampled_kl_to_anchor
from zoom_iqa.objectives.penalties.kl_at_answer_digits import KLCoverage
from zoom_iqa.objectives.rewards.formulas import rank_reward, score_reward
from zoom_iqa.parallel.reducer import LocalReducer

HUNDREDTHS = st.integers(100, 500).map(lambda n: n / 100)
RATING = st.one_of(HUNDREDTHS, st.just(math.nan))


@st.composite
def groups(draw, rating=RATING, min_images=2):
    n_images, n_responses = draw(st.integers(min_images, 5)), draw(st.integers(1, 5))
    cells = st.lists(rating, min_size=n_images * n_responses, max_size=n_images * n_responses)
    mos = st.lists(HUNDREDTHS, min_size=n_images, max_size=n_images)
    ratings_BG = torch.tensor(draw(cells), dtype=torch.float64).view(n_images, n_responses)
    return ratings_BG, torch.tensor(draw(mos), dtype=torch.float64)


@given(groups())
def test_rewards_are_fractions_and_failures_earn_nothing(case):
    ratings_BG, mos_B = case
    for reward_BG in (score_reward(ratings_BG, mos_B), rank_reward(ratings_BG, mos_B)):
        assert reward_BG.shape == ratings_BG.shape
        assert ((reward_BG >= 0) & (reward_BG <= 1 + 1e-12)).all()
        assert (reward_BG[ratings_BG.isnan()] == 0).all()


@given(groups(), st.randoms(use_true_random=False))
def test_rewards_follow_a_permutation_of_images_and_responses(case, random):
    ratings_BG, mos_B = case
    images, responses = list(range(ratings_BG.shape[0])), list(range(ratings_BG.shape[1]))
    random.shuffle(images)
    random.shuffle(responses)
    for reward in (score_reward, rank_reward):
        moved = reward(ratings_BG[images][:, responses], mos_B[images])
        torch.testing.assert_close(moved, reward(ratings_BG, mos_B)[images][:, responses], rtol=1e-6, atol=1e-6)


@given(groups(), st.sampled_from([-2.0, -0.5, 0.25, 8.0]))
def test_rank_reward_ignores_a_shift_of_all_ratings_or_of_all_mos(case, shift):
    ratings_BG, mos_B = case
    reward_BG = rank_reward(ratings_BG, mos_B, eps=1e-2)
    torch.testing.assert_close(rank_reward(ratings_BG + shift, mos_B, eps=1e-2), reward_BG, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(rank_reward(ratings_BG, mos_B * 64 + shift, eps=1e-2), reward_BG)


@given(groups(), st.sampled_from([-2.0, 0.25]))
def test_score_reward_moves_with_ratings_and_mos_together(case, shift):
    ratings_BG, mos_B = case
    moved = score_reward(ratings_BG + shift, mos_B + shift)
    torch.testing.assert_close(moved, score_reward(ratings_BG, mos_B), rtol=1e-9, atol=1e-12)


@given(groups(rating=HUNDREDTHS))
def test_a_better_rating_of_the_best_image_never_earns_less(case):
    ratings_BG, mos_B = case
    best = int(mos_B.argmax())
    if (mos_B == mos_B[best]).sum() > 1:
        return
    reward_G = rank_reward(ratings_BG, mos_B)[best]
    order = ratings_BG[best].argsort()
    assert (reward_G[order].diff() >= -1e-12).all()


@given(groups(rating=st.floats(-10, 10), min_images=1), st.booleans())
def test_advantages_of_a_group_add_up_to_nothing_and_keep_its_order(case, normalize):
    rewards_BG, _ = case
    advantages_BG = group_advantages(rewards_BG, normalize_std=normalize, eps=1e-4)
    assert advantages_BG.sum(1).abs().max() < 1e-9 * (1 + rewards_BG.abs().max() / (1e-4 if normalize else 1))
    assert (advantages_BG.gather(1, rewards_BG.argsort(1)).diff(dim=1) >= 0).all()
    constant_B = rewards_BG.amax(1) == rewards_BG.amin(1)
    assert (advantages_BG[constant_B] == 0).all()


@given(groups(rating=HUNDREDTHS), st.sampled_from([-3.0, 0.5, 4.0]))
def test_advantages_ignore_a_shift_of_rewards(case, shift):
    rewards_BG, _ = case
    torch.testing.assert_close(
        group_advantages(rewards_BG + shift, normalize_std=True, eps=1e-2),
        group_advantages(rewards_BG, normalize_std=True, eps=1e-2),
        rtol=1e-9,
        atol=1e-9,
    )


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_sequence_weights_give_every_trajectory_the_same_share(labels):
    trajectory_T = torch.tensor(labels)
    names = trajectory_T.unique()
    weights_T = SequenceMean()(trajectory_T, n_trajectories=len(names), n_tokens=len(labels))
    shares = torch.stack([weights_T[trajectory_T == name].sum() for name in names])
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(names)))


@given(st.integers(1, 60), st.integers(0, 1000), st.floats(0.01, 1.0))
def test_coverage_selection_follows_a_permutation_of_tokens(n_tokens, seed, fraction):
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(n_tokens, generator=g, dtype=torch.float64)
    advantages = torch.randn(n_tokens, generator=g, dtype=torch.float64)
    numeric = torch.rand(n_tokens, generator=g) < 0.6
    order = torch.randperm(n_tokens, generator=g)
    tokens = token_batch(logp, advantages, numeric=numeric)
    coverage = KLCoverage(beta=1.0, fraction=fraction, digits="answer", anchor="reference", divergence="sampled")
    selected, permuted = (
        coverage.plan(batch, step=0, mini_batch=0, reducer=LocalReducer()).selected_M
        for batch in (tokens, tokens.at(order))
    )
    assert torch.equal(permuted, selected[order])
    n_candidates = int(numeric.sum())
    assert int(selected.sum()) == (max(1, math.floor(fraction * n_candidates + 1e-9)) if n_candidates else 0)
    assert not selected[~numeric].any()


@given(st.lists(st.floats(-30, 0), min_size=3, max_size=3))
def test_sampled_divergence_is_never_negative(logs):
    theta, anchor, sampling = torch.tensor(logs, dtype=torch.float64)
    value = sampled_kl_to_anchor(theta, anchor, sampling)
    assert value >= -1e-9 * max(1.0, math.exp(float(torch.maximum(theta, anchor) - sampling)))


@given(st.integers(0, 1000), st.floats(0.1, 8.0))
def test_exact_divergence_is_never_negative_and_zero_only_at_the_anchor(seed, sharpness):
    g = torch.Generator().manual_seed(seed)
    anchor, theta = (sharpness * torch.randn(2, 6, generator=g, dtype=torch.float64)).log_softmax(-1)
    assert exact_kl(anchor[None], theta[None]) > 0
    assert exact_kl(anchor[None], anchor[None]) == 0

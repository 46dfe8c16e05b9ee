"""Estimators are checked by enumerating a small vocabulary: expectation = sum of probability x value."""

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from zoom_iqa.objectives.divergence import bounded_exp, exact_kl, k3, sampled_kl_to_anchor

VOCABULARY = 7


def logits(seed, rows=3):
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_exact_kl_equals_torch_distributions():
    anchor, theta = logits(0), logits(1)
    expected = kl_divergence(Categorical(logits=anchor), Categorical(logits=theta))
    torch.testing.assert_close(exact_kl(anchor.log_softmax(-1), theta.log_softmax(-1)), expected)


def test_exact_kl_with_banned_entries_is_finite_and_so_is_its_gradient():
    anchor, theta = logits(0), logits(1).requires_grad_()
    ban = torch.zeros(VOCABULARY, dtype=torch.bool)
    ban[2] = True
    banned_anchor = anchor.masked_fill(ban, -torch.inf).log_softmax(-1)
    banned_theta = theta.masked_fill(ban, -torch.inf).log_softmax(-1)
    kl = exact_kl(banned_anchor, banned_theta)
    keep = ~ban
    expected = kl_divergence(Categorical(logits=anchor[:, keep]), Categorical(logits=theta.detach()[:, keep]))
    torch.testing.assert_close(kl.detach(), expected)
    kl.sum().backward()
    assert theta.grad.isfinite().all()
    assert theta.grad[:, 2].tolist() == [0.0] * 3


def expectation_over_samples(sampling, anchor, theta):
    """E over tokens drawn from ``sampling`` of the sampled estimate, differentiable in theta; shape (rows,)."""
    columns = [
        sampling.exp()[:, v] * sampled_kl_to_anchor(theta[:, v], anchor[:, v], sampling[:, v])
        for v in range(VOCABULARY)
    ]
    return torch.stack(columns).sum(0)


@pytest.mark.parametrize("anchor_seed", [0, 2], ids=["anchor samples", "anchor is a third policy"])
def test_sampled_estimate_is_unbiased_in_value_and_gradient(anchor_seed):
    sampling, anchor = logits(0).log_softmax(-1), logits(anchor_seed).log_softmax(-1)
    a, b = logits(1).requires_grad_(), logits(1).requires_grad_()
    estimate = expectation_over_samples(sampling, anchor, a.log_softmax(-1))
    exact = exact_kl(anchor, b.log_softmax(-1))
    torch.testing.assert_close(estimate, exact)
    estimate.sum().backward()
    exact.sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_sampled_estimate_is_biased_where_tokens_are_picked_by_their_own_probability():
    """Two tokens: theta (0.9, 0.1) samples, the anchor is (0.8, 0.2). A choice of rare tokens sees the second only."""
    theta, anchor = torch.tensor([0.9, 0.1]).double().log(), torch.tensor([0.8, 0.2]).double().log()
    exact = exact_kl(anchor[None], theta[None]).item()
    assert exact == pytest.approx(0.0444, abs=1e-4)  # 0.8 ln(8/9) + 0.2 ln 2
    common, rare = sampled_kl_to_anchor(theta, anchor, theta).tolist()
    assert (common, rare) == (pytest.approx(0.0064, abs=1e-4), pytest.approx(0.3863, abs=1e-4))  # 2 ln 2 - 2 + 1
    assert 0.9 * common + 0.1 * rare == pytest.approx(exact)
    assert rare > 8 * exact


@pytest.mark.parametrize("far", [25.0, 1e3, 1e6])
def test_estimates_stay_finite_where_policies_are_far_apart(far):
    """exp(1000) is infinite. Beyond a log-ratio of 20 the tangent goes on: the gradient keeps its direction."""
    logp = torch.tensor([-far, -0.1], requires_grad=True)
    reference = torch.tensor([-0.5, -far])
    value = k3(logp, reference)
    value.sum().backward()
    assert value.isfinite().all()
    assert logp.grad.tolist() == [pytest.approx(-math.exp(20), rel=1e-5), 1.0]  # raise the first, lower the second
    theta = torch.tensor([-far, -0.1, -far], requires_grad=True)
    value = sampled_kl_to_anchor(theta, torch.tensor([-0.5, -far, -far]), torch.tensor([-far, -far, -0.5]))
    value.sum().backward()
    assert value.isfinite().all()
    assert (value >= 0).all()
    assert theta.grad.isfinite().all()
    assert theta.grad[0] < 0 < theta.grad[1]


def test_the_bound_changes_nothing_within_it():
    x = torch.linspace(-30, 20, 51, dtype=torch.float64)
    torch.testing.assert_close(bounded_exp(x), x.exp())
    assert bounded_exp(torch.tensor(21.0, dtype=torch.float64)).item() == pytest.approx(2 * math.exp(20))


def test_sampled_estimate_is_never_negative():
    points = torch.linspace(-4, 0, 9, dtype=torch.float64)
    theta, anchor, sampling = torch.meshgrid(points, points, points, indexing="ij")
    assert sampled_kl_to_anchor(theta, anchor, sampling).min() > -1e-12


def test_sampled_estimate_by_hand():
    # p_theta = 0.2, p_anchor = 0.4, p_sampling = 0.1: a = 4, w = 2
    logs = torch.tensor([0.2, 0.4, 0.1], dtype=torch.float64).log()
    assert sampled_kl_to_anchor(*logs).item() == pytest.approx(4 * 0.6931472 - 4 + 2)


def test_sampled_estimate_and_gradient_vanish_at_the_anchor():
    anchor = logits(0).log_softmax(-1)[:, 0]
    theta = anchor.clone().requires_grad_()
    estimate = sampled_kl_to_anchor(theta, anchor, logits(3).log_softmax(-1)[:, 0])
    estimate.sum().backward()
    assert estimate.tolist() == [0.0] * 3
    assert theta.grad.tolist() == [0.0] * 3


def test_k3_by_hand():
    # p_ref / p_theta = 2: 2 - 1 - ln 2
    assert k3(torch.tensor([0.25]).log(), torch.tensor([0.5]).log()).item() == pytest.approx(1 - 0.6931472, rel=1e-5)


def test_k3_is_unbiased_and_its_gradient_is_the_reverse_divergence():
    reference = logits(0).log_softmax(-1)
    theta = logits(1).requires_grad_()
    log_theta = theta.log_softmax(-1)
    value = sum(log_theta.exp().detach()[:, v] * k3(log_theta[:, v], reference[:, v]) for v in range(VOCABULARY))
    torch.testing.assert_close(value.detach(), exact_kl(log_theta.detach(), reference))
    value.sum().backward()
    other = logits(1).requires_grad_()
    exact_kl(reference, other.log_softmax(-1)).sum().backward()
    torch.testing.assert_close(theta.grad, other.grad)

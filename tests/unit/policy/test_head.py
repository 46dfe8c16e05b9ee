"""The chunked output head against log_softmax of the whole matrix."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zoom_iqa.policy.head import banned_bias, log_distributions, token_log_probs

T, H, V = 11, 6, 17
BANNED = (3, 15, 16)


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(T, H, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(V, H, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.tensor([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 14])
    upstream = torch.randn(2, T, generator=generator)
    return hidden, weight, targets, upstream


def whole(hidden: torch.Tensor, weight: torch.Tensor, temperature: float) -> torch.Tensor:
    allowed = [v for v in range(V) if v not in BANNED]
    log_p = torch.full((T, V), -torch.inf, dtype=hidden.dtype)
    log_p[:, allowed] = F.log_softmax((hidden @ weight.T / temperature)[:, allowed], -1)
    return log_p


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_values_and_gradients_equal_the_whole_matrix(chunk: int, temperature: float) -> None:
    hidden, weight, targets, upstream = tensors()
    log_p = whole(hidden, weight, temperature)
    expected_logp = log_p[torch.arange(T), targets]
    expected_entropy = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
    (expected_logp * upstream[0] + expected_entropy * upstream[1]).sum().backward()
    expected_grads = hidden.grad, weight.grad

    hidden, weight, _, _ = tensors()
    logp, entropy = token_log_probs(
        hidden, weight, banned_bias(BANNED, weight), targets, temperature=temperature, chunk=chunk, entropy=True
    )
    assert entropy is not None
    (logp * upstream[0] + entropy * upstream[1]).sum().backward()
    torch.testing.assert_close(logp, expected_logp.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(entropy, expected_entropy.float(), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(hidden.grad, expected_grads[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weight.grad, expected_grads[1], rtol=1e-5, atol=1e-6)


def test_without_entropy_the_gradient_is_that_of_the_log_probabilities() -> None:
    hidden, weight, targets, upstream = tensors()
    (whole(hidden, weight, 1.0)[torch.arange(T), targets] * upstream[0]).sum().backward()
    expected = hidden.grad
    hidden, weight, _, _ = tensors()
    logp, entropy = token_log_probs(
        hidden, weight.detach(), banned_bias(BANNED, weight), targets, temperature=1.0, chunk=3, entropy=False
    )
    assert entropy is None
    (logp * upstream[0]).sum().backward()
    torch.testing.assert_close(hidden.grad, expected, rtol=1e-5, atol=1e-6)


def test_distributions_are_minus_infinity_exactly_where_banned() -> None:
    hidden, weight, _, _ = tensors()
    log_dist = log_distributions(hidden, weight, banned_bias(BANNED, weight), temperature=0.7)
    torch.testing.assert_close(log_dist, whole(hidden, weight, 0.7).float(), rtol=1e-5, atol=1e-6)
    assert torch.isinf(log_dist).sum() == T * len(BANNED)
    log_dist.clamp(min=-50).sum().backward()
    assert torch.isfinite(weight.grad).all()

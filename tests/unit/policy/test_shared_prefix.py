"""Packed attention against a dense mask; gradient checkpointing; forwards without a layout."""

from __future__ import annotations

import pytest
import torch

from support.random_policy import build_random_policy, turn1_prompt
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.attention_blocks import attend, attend_backward, choose_kernel
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.shared_prefix import CrossBlock, PackedLayout, Run, _SharedPrefixAttention, install

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
PATHS = ("aaaaaPP", "aaaaaQQQQ", "aaaaaRRRR", "aaaaabbbSS", "aaaaabbbTT", "ccc", "dUUU", "dVVV")
"""Sequences piece by piece: a piece that several begin with is one."""
LAYOUT = PackedLayout(
    runs=(
        Run(0, 1, 5),
        Run(5, 1, 2),
        Run(7, 2, 4),
        Run(15, 1, 3),
        Run(18, 2, 2),
        Run(22, 1, 3),
        Run(25, 1, 1),
        Run(26, 2, 3),
    ),
    blocks=(
        CrossBlock(slice(0, 5), slice(5, 22)),
        CrossBlock(slice(15, 18), slice(18, 22)),
        CrossBlock(slice(25, 26), slice(26, 32)),
    ),
)
TOTAL = 32


def dense_mask() -> torch.Tensor:
    """Who sees whom: what stands before it in its sequence."""
    mask = torch.zeros(TOTAL, TOTAL, dtype=torch.bool)
    pieces: dict[str, list[int]] = {}
    for path in PATHS:
        for letter in dict.fromkeys(path):
            if letter not in pieces:
                first = sum(map(len, pieces.values()))
                pieces[letter] = list(range(first, first + path.count(letter)))
        tokens = [token for letter in dict.fromkeys(path) for token in pieces[letter]]
        for i, token in enumerate(tokens):
            mask[token, tokens[: i + 1]] = True
    return mask


def heads(count: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, TOTAL, count, WIDTH, generator=generator, dtype=dtype).transpose(1, 2)


@pytest.mark.parametrize("kernel", ["flash_cpu", "explicit"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-6)])
def test_packed_attention_equals_a_dense_mask(kernel: str, dtype: torch.dtype, tolerance: float) -> None:
    scale = 0.3
    inputs = [heads(n, i, dtype).detach().requires_grad_() for i, n in enumerate((HEADS, KEY_HEADS, KEY_HEADS))]
    upstream = heads(HEADS, 9, dtype).transpose(1, 2)
    q, k, v = inputs
    scores = (q @ k.repeat_interleave(2, 1).mT * scale).masked_fill(~dense_mask(), -torch.inf)
    expected = (scores.softmax(-1) @ v.repeat_interleave(2, 1)).transpose(1, 2)
    expected_grads = torch.autograd.grad((expected * upstream).sum(), inputs)

    found = _SharedPrefixAttention.apply(q, k, v, LAYOUT, 0, scale, kernel)
    grads = torch.autograd.grad((found * upstream).sum(), inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("causal", [True, False])
def test_kernels_agree(causal: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v, grad = (torch.randn(2, 3, 6, 8, generator=generator) for _ in range(4))
    found = {}
    for kernel in ("flash_cpu", "explicit"):
        out, lse = attend(kernel, q, k, v, causal=causal, scale=0.5)
        found[kernel] = (
            out,
            lse,
            *attend_backward(kernel, grad, q, k, v, out, lse, causal=causal, scale=0.5),
        )
    for flash, explicit in zip(found["flash_cpu"], found["explicit"], strict=True):
        torch.testing.assert_close(flash, explicit, rtol=1e-5, atol=1e-5)


def test_the_kernel_follows_device_type_and_config() -> None:
    tensor = torch.zeros(1)
    assert choose_kernel(tensor, "sdpa") == "flash_cpu"
    assert choose_kernel(tensor, "flash_attention_2") == "flash_cpu"
    assert choose_kernel(tensor, "eager") == "explicit"


def test_gradient_checkpointing_changes_nothing() -> None:
    policy = build_random_policy()
    prompt = policy.encode(turn1_prompt(0))
    samples = [PromptCompletion(prompt, "a", torch.tensor(ids)) for ids in ([1, 2, 3], [4, 5, 6], [7])]
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    policy.model.train()
    found = []
    for enabled in (False, True):
        if enabled:
            policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        policy.model.zero_grad()
        scores = likelihood(samples, entropy=False, select_S=None)
        scores.logp_T.sum().backward()
        weight = policy.model.model.language_model.layers[0].self_attn.k_proj.weight
        found.append((scores.logp_T.detach(), weight.grad.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_forwards_without_a_layout_are_as_before(attention: str) -> None:
    policy = build_random_policy()
    policy.model.set_attn_implementation(attention)
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    padding = torch.ones_like(ids)
    padding[0, :4] = 0
    with torch.no_grad():
        before = policy.model(input_ids=ids, attention_mask=padding).logits
        install(policy.model)
        install(policy.model)
        after = policy.model(input_ids=ids, attention_mask=padding).logits
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_a_model_that_would_ignore_the_layout_is_refused() -> None:
    policy = build_random_policy()
    samples = [PromptCompletion(policy.encode(turn1_prompt(0)), "a", torch.tensor([1, 2]))]
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    policy.model.set_attn_implementation("eager")
    with pytest.raises(PolicyError, match="attention eager ignores layouts"):
        likelihood(samples, entropy=False, select_S=None)


def test_sliding_windows_are_refused() -> None:
    policy = build_random_policy()
    policy.model.model.language_model.config.layer_types[0] = "sliding_attention"
    with pytest.raises(PolicyError, match="sliding"):
        install(policy.model)

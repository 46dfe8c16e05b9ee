"""Packed attention against a dense mask; gradient checkpointing; forwards without a layout."""

from __future__ import annotations

import pytest
import torch

from support.random_policy import build_random_policy, turn1_prompt
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy import attention_blocks
from zoom_iqa.policy.attention_blocks import attend, attend_backward, choose_kernel
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packed_attention import PackedAttention
from zoom_iqa.policy.packed_layout import CrossBlock, PackedLayout, Pattern, Run
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.shared_prefix import install

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
PATHS = ("aaaaaPP", "aaaaaQQQQ", "aaaaaRRRR", "aaaaabbbSS", "aaaaabbbTT", "ccc", "dUUU", "dVVV")
"""Sequences piece by piece: a piece that several begin with is one."""
PATTERN = Pattern(
    runs=(
        Run(0, 0, 1, 5),
        Run(5, 5, 1, 2),
        Run(7, 7, 2, 4),
        Run(15, 15, 1, 3),
        Run(18, 18, 2, 2),
        Run(22, 22, 1, 3),
        Run(25, 25, 1, 1),
        Run(26, 26, 2, 3),
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


WANTED = (4, 6, 8, 9, 10, 14, 15, 17, 18, 19, 21, 24, 26, 27, 28, 30)
"""Last tokens of pieces, parts of pieces and whole pieces."""


@pytest.mark.parametrize("rows", [tuple(range(TOTAL)), WANTED, (31,)])
@pytest.mark.parametrize("kernel", ["flash_cpu", "explicit"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-6)])
def test_packed_attention_equals_a_dense_mask(
    kernel: str, dtype: torch.dtype, tolerance: float, rows: tuple[int, ...]
) -> None:
    scale, at = 0.3, torch.tensor(rows)
    inputs = [heads(n, i, dtype).detach().requires_grad_() for i, n in enumerate((HEADS, KEY_HEADS, KEY_HEADS))]
    upstream = heads(HEADS, 9, dtype).transpose(1, 2)[:, at]
    q, k, v = inputs
    scores = (q @ k.repeat_interleave(2, 1).mT * scale).masked_fill(~dense_mask(), -torch.inf)
    expected = (scores.softmax(-1) @ v.repeat_interleave(2, 1)).transpose(1, 2)[:, at]
    expected_grads = torch.autograd.grad((expected * upstream).sum(), inputs)

    pattern = PackedLayout.of(PATTERN, at).last
    found = PackedAttention.apply(q[:, :, at], k, v, pattern, 0, scale, kernel)
    grads = torch.autograd.grad((found * upstream).sum(), inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=2 * tolerance)


def test_a_layout_that_wants_every_token_is_its_pattern() -> None:
    last = PackedLayout.of(PATTERN, torch.arange(TOTAL)).last
    assert (last.runs, last.blocks) == (PATTERN.runs, PATTERN.blocks)


def both_ways(kernel: str, tokens: int, causal: bool) -> tuple[torch.Tensor, ...]:
    """Output, log-sum-exp and gradients of two pieces of so many tokens."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, grad = (torch.randn(2, tokens, 3, 8, generator=generator).transpose(1, 2) for _ in range(4))
    out, lse = attend(kernel, q, k, v, causal=causal, scale=0.5)  # type: ignore[arg-type]
    return out, lse, *attend_backward(kernel, grad, q, k, v, out, lse, causal=causal, scale=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("causal", [True, False])
def test_kernels_agree(causal: bool) -> None:
    for flash, explicit in zip(both_ways("flash_cpu", 6, causal), both_ways("explicit", 6, causal), strict=True):
        torch.testing.assert_close(flash, explicit, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tokens", [16, 17, 33, 64, 101])
def test_causal_blocks_in_halves_are_whole_ones(monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """Cut over 16 tokens, up to three times."""
    monkeypatch.setattr(attention_blocks, "SPLIT", 16)
    for halves, explicit in zip(both_ways("flash_cpu", tokens, True), both_ways("explicit", tokens, True), strict=True):
        torch.testing.assert_close(halves, explicit, rtol=1e-5, atol=1e-5)


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
        gradients = [weight.grad.clone() for weight in policy.model.model.language_model.parameters()]
        found.append((scores.logp_T.detach(), *gradients))
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


def test_only_wanted_rows_pass_through_the_last_layer() -> None:
    """Its keys and values are of all tokens; queries, output and MLP of those that predict."""
    policy = build_random_policy()
    sample = PromptCompletion(policy.encode(turn1_prompt(0)), "a", torch.tensor([1, 2, 3]))
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    rows: dict[str, list[int]] = {}
    for layer in policy.model.model.language_model.layers:
        for name, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear):
                count = rows.setdefault(name, []).append
                module.register_forward_hook(lambda _, inputs, __, count=count: count(inputs[0].shape[-2]))
    likelihood([sample], entropy=False, select_S=None)
    every, wanted = len(sample.prompt.ids_L) + 2, 3
    for name in ("self_attn.k_proj", "self_attn.v_proj"):
        assert rows[name] == [every, every]
    for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
        assert rows[name] == [every, wanted]


def test_a_model_with_the_config_of_an_installed_one_is_installed_too() -> None:
    policy = build_random_policy()
    install(policy.model)
    other = type(policy.model)(policy.model.config).eval()
    other.load_state_dict(policy.model.state_dict())
    samples = [PromptCompletion(policy.encode(turn1_prompt(0)), "a", torch.tensor([1, 2]))]
    found = []
    for model in (policy.model, other):
        policy.model = model
        likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
        found.append(likelihood(samples, entropy=False, select_S=None).logp_T)
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


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

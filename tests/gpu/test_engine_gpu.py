"""On a CUDA device: captured steps equal plain ones, 16-bit kernels equal the formula, sampling equals rescoring."""

from __future__ import annotations

import pytest
import torch

from support.random_policy import build_random_policy, turn1_prompt, turn2_prompt
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.policy.attention_blocks import attend, attend_backward
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
REQUESTS = [
    Request(f"{name}/{i}", name, prompt, 10 * number + i)
    for number, (name, prompt, size) in enumerate(
        (("a", turn1_prompt(0), 4), ("b", turn1_prompt(1, words=11), 4), ("c", turn2_prompt(0), 1))
    )
    for i in range(size)
]


def run(policy: Policy, *, graphs: bool) -> dict[str, Generation]:
    sampling = SamplingParams(
        temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=150, stop_strings=("</answer>",)
    )
    engine = NativeEngine(
        policy=policy, sampling=sampling, features=VisionCache(model=policy.model, capacity=10_000),
        token_budget=100_000, join_share=0.5, cuda_graphs=graphs,
    )  # fmt: skip
    for request in REQUESTS:
        engine.submit(request)
    found: dict[str, Generation] = {}
    while engine.busy:
        found |= {generation.key: generation for generation in engine.step()}
    return found


def test_captured_steps_draw_the_same_tokens() -> None:
    policy = build_random_policy()
    policy.model.cuda()
    plain, captured = run(policy, graphs=False), run(policy, graphs=True)
    same = [plain[key].token_ids == captured[key].token_ids for key in plain]
    assert sum(same) >= len(same) - 1  # one row in many may part ways by rounding


def test_sampling_log_probabilities_equal_rescoring() -> None:
    policy = build_random_policy()
    policy.model.cuda()
    found = run(policy, graphs=True)
    samples = [
        PromptCompletion(policy.encode(r.prompt), r.prompt_key, torch.tensor(found[r.key].token_ids)) for r in REQUESTS
    ]
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    with torch.no_grad():
        logp = likelihood(samples, entropy=False, select_S=None).logp_T.cpu()
    sampled = torch.tensor([value for r in REQUESTS for value in found[r.key].logprobs])
    assert float((logp - sampled).norm() / sampled.norm()) < 1e-3  # float32 products may run in TF32


@pytest.mark.parametrize("causal", [True, False])
def test_flash_kernel_equals_the_formula(causal: bool) -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    q, k, v, grad = (
        torch.randn(2, 4, 64, 64, generator=generator, device="cuda", dtype=torch.bfloat16) for _ in range(4)
    )
    found = []
    for kernel in ("flash_cuda", "explicit"):
        out, lse = attend(kernel, q, k, v, causal=causal, scale=0.125)
        grads = attend_backward(kernel, grad, q, k, v, out, lse, causal=causal, scale=0.125)
        found.append((out, lse, *grads))
    for flash, explicit in zip(*found, strict=True):
        torch.testing.assert_close(flash.float(), explicit.float(), rtol=3e-2, atol=3e-2)

"""The one vLLM engine a process can have, made for copies of the shipped policy, and requests that compare engines."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from support.engine_runs import SAMPLING
from support.random_policy import turn1_prompt, turn2_prompt
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.vllm.engine import VllmEngine, VllmEngineRecipe
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

CACHE_TOKENS = 32768
ROWS = 48
RECIPE = VllmEngineRecipe(
    cache_tokens=CACHE_TOKENS, rows=ROWS, context_tokens=None, cuda_graphs=False, sleep=False, probe_tolerance=1e-3
)


def in_vllm(policy: Policy, sampling: SamplingParams) -> VllmEngine:
    return RECIPE(policy=policy, sampling=sampling, features=VisionCache(model=policy.model, capacity=10_000))


def copy_of(policy: Policy) -> Policy:
    """The policy with weights of its own."""
    other = copy.copy(policy)
    other.model = copy.deepcopy(policy.model)
    return other


GREEDY = replace(SAMPLING, greedy=True)
WAYS: dict[str, SamplingParams | None] = {
    "engine's": None,
    "short": replace(SAMPLING, max_new_tokens=3),
    "long": replace(SAMPLING, max_new_tokens=60, stop_strings=()),
    "stops early": replace(SAMPLING, stop_strings=("a", "e")),
    "cool": replace(SAMPLING, temperature=0.5),
    "truncated": replace(SAMPLING, top_p=0.9, top_k=20),
    "greedy": GREEDY,
}


def mixed_requests() -> list[Request]:
    """Three seeds of a first turn in every way, and of a second turn with two images in some."""
    wanted = [
        Request(f"a/{way}/{i}", "a", turn1_prompt(0), 10 * n + i, sampling=sampling)
        for i in range(3)
        for n, (way, sampling) in enumerate(WAYS.items())
    ]
    return wanted + [Request(f"b/{way}", "b", turn2_prompt(1), 7, sampling=WAYS[way]) for way in ("long", "greedy")]


def assert_alike(found: dict[str, Generation], expected: dict[str, Generation]) -> None:
    """The same tokens; log-probabilities and entropies within 2e-4 nats or 1e-3 of each other."""
    assert found.keys() == expected.keys()
    for key, made in found.items():
        assert made.token_ids == expected[key].token_ids, key
        assert (made.text, made.finish) == (expected[key].text, expected[key].finish), key
        for name in ("logprobs", "entropies"):
            torch.testing.assert_close(
                torch.tensor(getattr(made, name)), torch.tensor(getattr(expected[key], name)), rtol=1e-3, atol=2e-4
            )


def changed(policy: Policy, scale: float = 1.5) -> Policy:
    other = copy_of(policy)
    for layer in other.model.model.language_model.layers:
        layer.mlp.down_proj.weight.data *= scale
    return other

"""The one vLLM engine a process can have, made for copies of the shipped policy."""

from __future__ import annotations

import copy

from zoom_iqa.base.sampling import SamplingParams
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

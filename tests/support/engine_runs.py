"""Engines run to the end, and their generations compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.engine import Engine
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.engines.transformers_engine import TransformersEngine
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

SAMPLING = SamplingParams(
    temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=24, stop_strings=("</answer>",)
)


def native(
    policy: Policy,
    sampling: SamplingParams = SAMPLING,
    *,
    budget: int = 100_000,
    share: float = 0.5,
    graphs: bool = False,
) -> NativeEngine:
    features = VisionCache(model=policy.model, capacity=10_000)
    return NativeEngine(
        policy=policy, sampling=sampling, features=features, token_budget=budget, join_share=share, cuda_graphs=graphs
    )


def plain(policy: Policy, sampling: SamplingParams = SAMPLING) -> TransformersEngine:
    features = VisionCache(model=policy.model, capacity=10_000)
    return TransformersEngine(policy=policy, sampling=sampling, features=features)


def run(engine: Engine, wanted: Iterable[Request]) -> dict[str, Generation]:
    """Generations by key."""
    for request in wanted:
        engine.submit(request)
    found: dict[str, Generation] = {}
    while engine.busy:
        found |= {generation.key: generation for generation in engine.step()}
    return found


@contextmanager
def forwarded_tokens(policy: Policy) -> Iterator[list[int]]:
    """How many tokens each forward of transformers' model sees meanwhile: a native engine's prefills."""
    counts: list[int] = []
    hook = policy.model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: counts.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    try:
        yield counts
    finally:
        hook.remove()


def assert_same(found: dict[str, Generation], expected: dict[str, Generation]) -> None:
    """The same tokens; log-probabilities and entropies within 2e-5 nats or 1e-4 of each other."""
    assert found.keys() == expected.keys()
    for key, generation in found.items():
        assert generation.token_ids == expected[key].token_ids, key
        assert generation.text == expected[key].text
        assert generation.finish == expected[key].finish
        for name in ("logprobs", "entropies"):
            torch.testing.assert_close(
                torch.tensor(getattr(generation, name)),
                torch.tensor(getattr(expected[key], name)),
                rtol=1e-4,
                atol=2e-5,
            )

"""The one vLLM engine a process can have, made for copies of the shipped policy, requests that compare engines, and
runs of three steps whose ends do.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from support.engine_runs import SAMPLING
from support.random_policy import turn1_prompt, turn2_prompt
from support.small_run import rows, weights_of
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.vllm.engine import VllmEngine, VllmEngineRecipe
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.policy.vision_cache import VisionCache

CACHE_TOKENS = 32768
ROWS = 48

THREE_STEPS = [
    "+experiment=quickstart",
    "stages=[grpo]",
    "machine.workers=0",
    "data.train.size=12",
    "data.test.size=4",
    "grpo.steps=3",
    "grpo.data.batch_size=4",
    "grpo.module.group_size=4",
    "grpo.checkpoint_every=3",
    "machine.evaluation_batch_size=4",
    f"policy.path={shipped_policy_folder()}",
]
IN_VLLM = [
    "rollout=vllm",
    f"rollout.cache_tokens={CACHE_TOKENS}",
    f"rollout.rows={ROWS}",
    "rollout.probe_tolerance=1e-3",
]


def recipe(*, rows: int = ROWS, sleep: bool = False) -> VllmEngineRecipe:
    """A small engine's; it can be made where vLLM is installed."""
    return VllmEngineRecipe(
        cache_tokens=CACHE_TOKENS, rows=rows, context_tokens=None, cuda_graphs=False, sleep=sleep, probe_tolerance=1e-3
    )


def behind(url: str) -> list[str]:
    """Settings of a run that asks a server."""
    return ["rollout=vllm_server", f"machine.vllm_url={url}", "rollout.probe_tolerance=1e-3"]


def start(run_dir: Path, *settings: str) -> subprocess.Popen[str]:
    """A process that makes a run of three steps, with its stderr in a pipe."""
    command = [sys.executable, "-m", "zoom_iqa.train", *THREE_STEPS, *settings, f"paths.run_dir={run_dir}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=run_dir.parent, env=environment, stderr=subprocess.PIPE, text=True)


def in_vllm(policy: Policy, sampling: SamplingParams) -> VllmEngine:
    return recipe()(policy=policy, sampling=sampling, features=VisionCache(model=policy.model, capacity=10_000))


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


def assert_same_policy(run: Path, native: Path, shipped: Policy, *, atol: float = 1e-5) -> None:
    """Weights as those that the native engine's answers have led to, from answers of the same lengths."""
    found, expected = weights_of(run, "grpo"), weights_of(native, "grpo")
    assert found.keys() == expected.keys()
    before = {f"model.{name}": weight for name, weight in shipped.model.state_dict().items()}
    before |= {name: torch.zeros_like(weight) for name, weight in expected.items() if ".lora_B" in name}
    assert any(not torch.equal(weight, before[name]) for name, weight in expected.items() if name in before)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=atol)
    for row, other in zip(rows(run, "grpo"), rows(native, "grpo"), strict=True):
        assert row["rollout/tokens_per_turn"] == other["rollout/tokens_per_turn"]

"""rollout=vllm where it cannot work: one line that names field, value and remedy, before there is a served model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from support.engine_runs import SAMPLING
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.engines.vllm import engine
from zoom_iqa.engines.vllm.engine import VllmEngineRecipe
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

VALUES: dict[str, Any] = {
    "cache_tokens": 4096,
    "rows": 8,
    "context_tokens": None,
    "cuda_graphs": False,
    "sleep": False,
    "probe_tolerance": 0.02,
}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cache_tokens", 0, r"rollout\.cache_tokens=0 must be a whole number of at least 1"),
        ("rows", 0, r"rollout\.rows=0 must be a whole number of at least 1"),
        ("context_tokens", -1, r"rollout\.context_tokens=-1 must be a whole number of at least 1"),
        ("probe_tolerance", 0.0, r"rollout\.probe_tolerance=0\.0 must be above 0"),
        ("probe_tolerance", float("nan"), r"rollout\.probe_tolerance=nan must be above 0"),
    ],
)
def test_values_that_cannot_work_are_refused(name: str, value: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VllmEngineRecipe(**{**VALUES, name: value})


def _made(policy: Policy) -> None:
    features = VisionCache(model=policy.model, capacity=64)
    VllmEngineRecipe(**VALUES)(policy=policy, sampling=SAMPLING, features=features)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_an_environment_without_vllm_is_told_how_to_get_it(random_policy: Policy) -> None:
    with pytest.raises(ConfigError, match="rollout=vllm needs vLLM: make vllm-env installs it"):
        _made(random_policy)


def test_several_processes_are_refused(random_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match="rollout=vllm runs in one process; use rollout=vllm_server or"):
        _made(random_policy)

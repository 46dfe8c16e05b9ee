"""rollout=vllm where it cannot work: one line that names field, value and remedy, before there is a served model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from hydra.errors import InstantiationException

from support.engine_runs import SAMPLING
from support.small_run import composed
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.stages import make_stage
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


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_an_environment_without_vllm_is_told_how_to_get_it_before_there_is_a_policy() -> None:
    """So that no SFT comes before the word."""
    with pytest.raises(InstantiationException, match="rollout=vllm needs vLLM: make vllm-env installs it"):
        make_stage("grpo", composed("+experiment=quickstart", "rollout=vllm"))


def test_several_processes_are_refused(random_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "require_vllm", lambda: None)
    monkeypatch.setattr(engine, "world_size", lambda: 2)
    features = VisionCache(model=random_policy.model, capacity=64)
    with pytest.raises(ConfigError, match="rollout=vllm runs in one process; use rollout=vllm_server or"):
        VllmEngineRecipe(**VALUES)(policy=random_policy, sampling=SAMPLING, features=features)

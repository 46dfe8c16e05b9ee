"""Settings that count something refuse 2.5 and True by their key, wherever they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.native.scheduler import check_admission
from zoom_iqa.engines.patient import Patience
from zoom_iqa.engines.vllm.served import ServingSettings
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.rewards.looks import LookBonus
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.lora import LoraSettings
from zoom_iqa.rollout.recorder import RolloutRecorder
from zoom_iqa.tasks.chain import ChainTask
from zoom_iqa.training.bad_steps import BadSteps
from zoom_iqa.training.grpo import GRPORecipe
from zoom_iqa.training.sft import SFTRecipe
from zoom_iqa.training.stage_data import StageData
from zoom_iqa.training.validation import BenchmarkEvaluation

COUNTS: list[tuple[Callable[..., object], str]] = [
    *((SamplingParams, f"sampling.{name}") for name in ("top_k", "max_new_tokens")),
    (check_admission, "machine.token_budget"),
    (Patience, "machine.engine_attempts"),
    *((ServingSettings, f"rollout.{name}") for name in ("cache_tokens", "rows", "context_tokens")),
    *((ImageAssessor, name) for name in ("batch_size", "samples")),
    *((Evaluator, name) for name in ("batch_size", "samples_per_image", "features_capacity", "workers")),
    (SamplerCheck, "update.sampler_check.every"),
    *((PolicyUpdate, f"update.{name}") for name in ("epochs", "mini_batches", "micro_batch_tokens")),
    (LookBonus, "reward.look.most"),
    *((load_policy, f"policy.{name}") for name in ("image_cache", "min_pixels", "max_pixels")),
    (LoraSettings, "lora.rank"),
    *((RolloutRecorder, f"grpo.module.recorder.{name}") for name in ("every", "keep")),
    *((ChainTask, f"task.{name}") for name in ("max_turns", "max_crops")),
    (BadSteps, "sft.module.max_bad_steps"),
    *((GRPORecipe, f"grpo.module.{name}") for name in ("group_size", "features_capacity", "logit_chunk")),
    *((SFTRecipe, f"sft.{name}") for name in ("accumulate", "module.logit_chunk")),
    *((StageData, name) for name in ("batch_size", "accumulate", "workers", "max_lost_images")),
    *((BenchmarkEvaluation, f"validation.{name}") for name in ("every", "patience")),
]
OTHERS: dict[str, Any] = {
    **dict.fromkeys(("temperature", "top_p", "timeout_s", "tolerance", "bound"), 1.0),
    **dict.fromkeys(("batch_size", "samples", "samples_per_image", "features_capacity", "epochs", "mini_batches"), 1),
    **dict.fromkeys(("max_new_tokens", "cache_tokens", "rows", "every", "max_turns", "accumulate", "image_cache"), 1),
    **{"workers": 0, "top_k": 0, "group_size": 2, "stop_strings": (), "dtype": "float32", "stage": "sft"},
}
"""The other arguments, by name, as far as they are looked at before; None for the rest."""


@pytest.mark.parametrize("value", [2.5, True], ids=str)
@pytest.mark.parametrize(("make", "key"), COUNTS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_count_is_a_whole_number(make: Callable[..., object], key: str, value: object) -> None:
    name = key.rpartition(".")[2].removeprefix("engine_")
    arguments = {other: OTHERS.get(other) for other in inspect.signature(make).parameters}
    with pytest.raises(ConfigError, match=rf"^{key}={value} must be a whole number of at least \d"):
        make(**{**arguments, name: value})

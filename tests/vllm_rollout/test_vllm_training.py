"""Three GRPO steps with each engine: the same answers are drawn, so the same policy comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.small_run import composed, metrics_of, rows
from support.vllm_runs import IN_VLLM, THREE_STEPS, assert_same_policy
from zoom_iqa.config.training_run import train
from zoom_iqa.policy.policy import Policy


@pytest.mark.parametrize("more", [[], ["policy/lora=r64", "policy.lora.rank=4"]], ids=["whole", "lora"])
def test_three_steps_with_each_engine_come_to_the_same_policy(shipped: Policy, tmp_path: Path, more: list[str]) -> None:
    for name, engine in (("native", []), ("vllm", IN_VLLM)):
        run_dir = tmp_path / name
        train(composed(*THREE_STEPS, *engine, *more, f"paths.run_dir={run_dir}"), run_dir)
    # Adam makes steps of the rate's size of gradients near zero too: 3e-3 for adapters, 3e-4 for the whole
    assert_same_policy(tmp_path / "vllm", tmp_path / "native", shipped, atol=1e-4 if more else 1e-5)
    for row in rows(tmp_path / "vllm", "grpo"):
        if row.get("policy/sampler_gap_mean"):
            assert float(row["policy/sampler_gap_mean"]) < 1e-4
    assert metrics_of(tmp_path / "vllm")["grpo"]["n"] == 4

"""Three GRPO steps with each engine: the same answers are drawn, so the same policy comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from support.small_run import composed, metrics_of, rows, weights_of
from support.vllm_runs import CACHE_TOKENS, ROWS
from zoom_iqa.config.training_run import train
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder

SETTINGS = [
    "stages=[grpo]",
    "machine.workers=0",
    "data.train.size=12",
    "data.test.size=4",
    "grpo.steps=3",
    "grpo.data.batch_size=4",
    "grpo.module.group_size=4",
    "grpo.checkpoint_every=3",
    "machine.evaluation_batch_size=4",
]
IN_VLLM = [
    "rollout=vllm",
    f"rollout.cache_tokens={CACHE_TOKENS}",
    f"rollout.rows={ROWS}",
    "rollout.probe_tolerance=1e-3",
]


@pytest.mark.parametrize("more", [[], ["policy/lora=r64", "policy.lora.rank=4"]], ids=["whole", "lora"])
def test_three_steps_with_each_engine_come_to_the_same_policy(shipped: Policy, tmp_path: Path, more: list[str]) -> None:
    for name, engine in (("native", []), ("vllm", IN_VLLM)):
        run_dir = tmp_path / name
        folder = f"policy.path={shipped_policy_folder()}"
        cfg = composed("+experiment=quickstart", *SETTINGS, *engine, *more, folder, f"paths.run_dir={run_dir}")
        train(cfg, run_dir)
    found, expected = (weights_of(tmp_path / name, "grpo") for name in ("vllm", "native"))
    assert found.keys() == expected.keys()
    start = {f"model.{name}": weight for name, weight in shipped.model.state_dict().items()}
    start |= {name: torch.zeros_like(weight) for name, weight in expected.items() if ".lora_B" in name}
    assert any(not torch.equal(weight, start[name]) for name, weight in expected.items() if name in start)
    # Adam makes steps of the rate's size of gradients near zero too: 3e-3 for adapters, 3e-4 for the whole
    atol = 1e-4 if more else 1e-5
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=atol)
    for row, other in zip(rows(tmp_path / "vllm", "grpo"), rows(tmp_path / "native", "grpo"), strict=True):
        assert row["rollout/tokens_per_turn"] == other["rollout/tokens_per_turn"]
        if row.get("policy/sampler_gap_mean"):
            assert float(row["policy/sampler_gap_mean"]) < 1e-4
    assert metrics_of(tmp_path / "vllm")["grpo"]["n"] == 4

"""On a CUDA device: whole small runs of the main program, with the parts that put tensors beside the model's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from support.small_run import SETTINGS, composed, metrics_of, rows
from zoom_iqa.config.training_run import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = [setting for setting in SETTINGS if not setting.startswith("engine")]
KINDS = {
    "quickstart": ["+experiment=quickstart", "grpo.module.freeze_vision_tower=true"],
    "sixteen_bits": ["policy.dtype=bfloat16", "machine.cuda_graphs=true"],
    "learning_tower": ["grpo.module.freeze_vision_tower=false", "grpo.module.update.epochs=2"],
    "adapters": ["policy/lora=r64", "policy.lora.rank=4"],
    "clip_cov": ["filters=clip_cov", "penalties=kl_reference"],
    "kl_cov": ["penalties=kl_cov", "grpo.module.update.mini_batches=2", "resampling=progressive"],
    "entropy": ["penalties=entropy", "machine.gradient_checkpointing=true"],
    "recomputed": ["grpo.module.update.old_logp=recomputed", "callbacks=validation", "data.val.size=3"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_trains_and_is_evaluated(kind: str, tmp_path: Path) -> None:
    overrides = [*SMALL, "machine=gpu", f"paths.run_dir={tmp_path}", *KINDS[kind]]
    train(composed(*sorted(overrides, key=lambda one: not one.startswith("+experiment"))), tmp_path)
    assert [set(figures) & {"srcc", "plcc"} for figures in metrics_of(tmp_path).values()] == [{"srcc", "plcc"}] * 2
    steps = rows(tmp_path, "grpo")
    assert len(steps) == 4
    assert all(math.isfinite(float(step["policy/loss"])) for step in steps)

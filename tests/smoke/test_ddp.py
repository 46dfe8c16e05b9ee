"""The main program in two processes of Lightning's own making, on the CPU: weights, evaluation and run folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from support.placed_runs import COMPARABLE
from support.small_run import SETTINGS, metrics_of, small_run, weights_of

TESTS = Path(__file__).resolve().parents[1]
TWO = ["trainer=ddp", "trainer.devices=2"]
TWO_STEPS = [*COMPARABLE, "machine.micro_batch_tokens=1", "sft.steps=2", "grpo.steps=2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """Its default folder bears the time of the start, which differs between processes."""
    folder = tmp_path_factory.mktemp("ddp")
    settings = [*SETTINGS, *TWO_STEPS, *TWO, "sft.data.batch_size=1", "grpo.data.batch_size=1"]
    settings += [f"policy.path={policy}", f"paths.runs={folder}/runs"]
    settings += ["+callbacks.weights._target_=support.rank_weights.RankWeights", f"+callbacks.weights.folder={folder}"]
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "zoom_iqa.train", *settings, "--config-dir", str(folder)],  # flags may come last
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,  # busy machines take minutes to import torch twice
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    (found,) = (folder / "runs" / "train").iterdir()
    return found


@pytest.mark.parametrize("module", ["SFTModule", "GRPOModule"])
def test_both_processes_hold_the_same_weights(run: Path, module: str) -> None:
    first, second = (torch.load(run.parents[2] / f"{module}-{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(
    run: Path, policy: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    small_run(alone, policy, *TWO_STEPS, "sft.data.batch_size=2", "grpo.data.batch_size=2")
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(policy)
    before = {f"model.{name}": value for name, value in model.state_dict().items()}
    for stage in ("sft", "grpo"):
        found, expected = weights_of(run, stage), weights_of(alone, stage)
        moved = sum((expected[name] - before[name]).square().sum() for name in before) ** 0.5
        apart = sum((expected[name] - found[name]).square().sum() for name in expected) ** 0.5
        assert moved > 0.01
        assert apart < 1e-3 * moved
        before = expected


def test_images_are_shared_out_and_counted_once(run: Path) -> None:
    metrics = metrics_of(run)
    assert [metrics[stage]["n"] for stage in ("sft", "grpo")] == [5, 5]
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == 5
    assert {path.name for path in (run / "evaluation" / "grpo").iterdir()} == {"predictions.jsonl"}


def test_one_folder_for_both(run: Path) -> None:
    assert {"config.yaml", "metrics.json", "predictions.jsonl", "policy"} <= {path.name for path in run.iterdir()}
    assert (run / "checkpoints" / "grpo" / "done.ckpt").is_file()

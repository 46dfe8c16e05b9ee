"""Small runs in two processes, which torchrun starts once for all of them: importing torch takes longer than a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TESTS = Path(__file__).resolve().parents[1]


# what an image's rollouts are must not depend on the process, nor rounding be blown up by a normalised step
COMPARABLE = [
    "rollout._target_=support.written_engine.KeyedEngine",
    "prompts.questions=[Rate it.]",
    "sft.module.max_grad_norm=1000.0",  # clipping would hide a wrong factor
    "grpo.module.max_grad_norm=1000.0",
    "data.test.size=5",
    *(f"{stage}.module.optimizer._target_=torch.optim.SGD" for stage in ("sft", "grpo")),
    *(f"~{stage}.module.optimizer.betas" for stage in ("sft", "grpo")),
    *(f"{stage}.module.optimizer.lr=0.01" for stage in ("sft", "grpo")),
]
THREE_STEPS = [
    *COMPARABLE,
    "machine.micro_batch_tokens=500",  # as many forward passes in one process as in both are not to be expected
    "sft.steps=3",
    "grpo.steps=3",
]
TWO = ["trainer.devices=2", "sft.data.batch_size=1", "grpo.data.batch_size=1"]
GOES_ON = [
    *TWO,
    "sft.steps=2",
    "sft.checkpoint_every=1",
    "grpo.steps=3",
    "grpo.checkpoint_every=1",
    "data.test.size=3",
    "data.val.size=3",
    "machine.gradient_checkpointing=offloaded",
    "callbacks=validation",
    "callbacks.validation.every=2",
    "+callbacks.stop._target_=support.stop_at.StopAt",
]


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The norm of the difference of weights."""
    return float(sum((one[name] - other[name]).square().sum() for name in other) ** 0.5)


@dataclass(frozen=True)
class Asked:
    """A run in the folder ``name``, of a config with these overrides; it ends at ``stop_at``, or where it should."""

    name: str
    overrides: Sequence[str]
    stop_at: str | None = None


def run_in_two(folder: Path, policy: Path, runs: Sequence[Asked]) -> None:
    """Make the runs, one after another, in ``folder``."""
    asked = folder / "asked.json"
    asked.write_text(json.dumps({"policy": str(policy), "runs": [asdict(run) for run in runs]}))
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, str(asked)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,  # busy machines take minutes to import torch twice
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _of_process(asked: Path) -> None:
    import torch

    from support.small_run import small_run
    from support.stop_at import STOP_AT
    from zoom_iqa.base.errors import StoppedError

    torch.set_num_threads(1)
    wanted = json.loads(asked.read_text())
    for run in (Asked(**given) for given in wanted["runs"]):
        os.environ[STOP_AT] = run.stop_at or ""
        stopped = False
        try:
            small_run(asked.parent / run.name, Path(wanted["policy"]), *run.overrides)
        except StoppedError:
            stopped = True
        assert stopped == (run.stop_at is not None), run


if __name__ == "__main__":
    _of_process(Path(sys.argv[1]))

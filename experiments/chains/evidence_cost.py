r"""What filters=evidence adds to a GRPO step of +experiment=deepsight_quickstart.

    python experiments/chains/evidence_cost.py runs/.../policy [--steps 3] [--out evidence_cost.json]

One process trains the policy twice at a rate of 0, so that both runs draw the same rollouts, with the filter and
without it, in turns. The clock is CPU time of the main thread, which other jobs on the machine change little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate

import zoom_iqa.training.grpo as grpo
from zoom_iqa.config.composition import composed
from zoom_iqa.config.stages import make_stage
from zoom_iqa.config.training_run import check
from zoom_iqa.learning.signals import SignalPasses
from zoom_iqa.objectives.signals import OLD, SHOWN
from zoom_iqa.parallel.placement import Replicated

FILTERS = ("none", "evidence")


class Clock:
    """CPU seconds of calls by name, a dictionary a step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._running: dict[str, float] = {}

    def around(self, owner: Any, name: str, label: Callable[..., str | None]) -> None:
        call = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun, said = time.thread_time(), label(*args, **kwargs)
            try:
                return call(*args, **kwargs)
            finally:
                if said is not None:
                    self._running[said] = self._running.get(said, 0.0) + time.thread_time() - begun

        setattr(owner, name, timed)

    def lap(self) -> None:
        self.steps.append(self._running)
        self._running = {}


def made_module(filters: str, policy_path: str, steps: int) -> tuple[grpo.GRPOModule, Any]:
    overrides = ["+experiment=deepsight_quickstart", f"filters={filters}", f"policy.path={policy_path}"]
    overrides += [f"grpo.steps={steps}", "grpo.module.optimizer.lr=0", "stages=[grpo]", "data.train.scores=null"]
    cfg = composed("train", [*overrides, "paths.run_dir=unused", "machine.workers=0"])
    check(cfg)
    stage = make_stage("grpo", cfg)
    policy = instantiate(cfg.policy)
    made: Any = stage.recipe(policy=policy, placement=Replicated(), steps=steps)
    return made, stage.data


def timed_steps(filters: str, policy_path: str, steps: int) -> list[dict[str, float]]:
    module, data = made_module(filters, policy_path, steps)
    clock = Clock()
    clock.around(module, "training_step", lambda *_: "step")
    clock.around(module, "collect", lambda *_: "rollout")
    kept = grpo.build_table, SignalPasses.everywhere
    clock.around(grpo, "build_table", lambda *_, **__: "prepare")
    clock.around(
        SignalPasses,
        "everywhere",
        lambda _, table, signal: None if signal in (OLD,) or signal.view == SHOWN else "hidden",
    )
    module.on_train_batch_end = lambda *_: clock.lap()  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu", max_steps=-1, max_epochs=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=Path(folder),
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
    grpo.build_table, SignalPasses.everywhere = kept  # type: ignore[method-assign]
    return clock.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("--steps", type=int, default=3, help="the first of each run is not counted")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: timed_steps(name, args.policy, args.steps)[1:] for name in FILTERS}
    medians = {
        name: {part: statistics.median(step.get(part, 0.0) for step in steps) for part in steps[0] | steps[-1]}
        for name, steps in found.items()
    }
    pairs = zip(found["evidence"], found["none"], strict=True)
    shares = [with_it["step"] / without["step"] - 1 for with_it, without in pairs]
    for name, parts in medians.items():
        print(name, ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items()))
    print("a step with the filter takes", ", ".join(f"{share:+.1%}" for share in shares))
    if args.out:
        args.out.write_text(json.dumps({"median_s": medians, "added": shares}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Runs ended at random moments, by signals that can be handled and by one that cannot, and gone on with to their end.

The runs are forks of this process, which spares each the import of torch. One that comes to its end has to be, bit by
bit, the run that was left alone; then the next begins.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from support.forked_runs import ended, forked, forked_pair
from support.small_run import assert_same_end
from support.wandb_files import steps_and_ids
from zoom_iqa.parallel.launching import GRACE_S

END_S = 60.0
"""A process that was asked to stop must have ended by then, on a machine that does nothing else."""
NUMBERS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WANDB_KEEPS = ("DATA", "CACHE", "CONFIG", "ARTIFACT")
EVERY = ("machine.workers=1", "sft.checkpoint_every=3", "callbacks=validation", "callbacks.validation.every=2")
EVERY += ("data.val.size=3", "grpo.module.recorder.every=2", "grpo.keep_checkpoints=3")
CHAINS = (
    "+experiment=deepsight_quickstart",
    "rollout._target_=support.written_engine.DescribedChainEngine",
    "probes=description",
    "+reward/terms@reward.self_consistency=self_consistency",
    "data.train.local_fraction=0.97",
    "data.train.scores=null",  # so many regions have none of some scores
    "data.train.procedural_fraction=1.0",
)


@dataclass(frozen=True)
class Kind:
    """A kind of run: its overrides, whether it has two processes or logs to W&B, and a package not always installed."""

    settings: tuple[str, ...]
    two: bool = False
    wandb: bool = False
    needs: str = ""

    @property
    def possible(self) -> bool:
        """Whether the package is installed that it needs."""
        return not self.needs or find_spec(self.needs) is not None


KINDS: Mapping[str, Kind] = {
    "alone": Kind((*EVERY, "resampling=progressive")),
    "logged": Kind((*EVERY, "logger=[csv,wandb]"), wandb=True),
    "adapters": Kind((*EVERY, "policy/lora=r8")),
    "ddp": Kind((*EVERY, "trainer=ddp", "trainer.devices=2"), two=True),
    "fsdp": Kind((*EVERY, "trainer=fsdp", "trainer.devices=2"), two=True),
    "zero2": Kind((*EVERY, "trainer=deepspeed_zero2", "trainer.devices=2"), two=True, needs="deepspeed"),
    "zero3": Kind((*EVERY, "trainer=deepspeed_zero3", "trainer.devices=2"), two=True, needs="deepspeed"),
    "chain": Kind((*EVERY, *CHAINS)),
    "chain in two": Kind((*EVERY, *CHAINS, "trainer=ddp", "trainer.devices=2"), two=True),
}


@dataclass
class Killing:
    """Kills runs of one kind; ``counts`` says how often by which signal, and how many runs came to their end."""

    kind: Kind
    policy: Path
    folder: Path
    draw: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        begin, self._takes_s = time.monotonic(), END_S
        assert self._end(self._start(self._whole)) == [0] * (1 + self.kind.two)
        self._takes_s = time.monotonic() - begin
        self._number = 0

    @property
    def run(self) -> Path:
        """The folder of the run in hand."""
        return self.folder / f"run{self._number}"

    def kill(self) -> None:
        """Start or continue the run in hand, and end it at a random moment; compare one that has come to its end."""
        number = self.draw.choice(NUMBERS)
        pids = self._start(self.run)
        time.sleep(self.draw.uniform(0.02, self._takes_s))
        struck = pids if self.kind.two and self.draw.random() < 0.3 else [self.draw.choice(pids)]
        for pid in struck:
            os.kill(pid, number)
        statuses = self._end(pids)
        self.counts[number.name] += 1
        for pid, status in zip(pids, statuses, strict=True):
            allowed = {0, -number if number == signal.SIGKILL else 128 + number}
            if (self.run / "policy").exists():
                allowed.add(-number)  # it had done all, and nobody listens any more
            if len(pids) > 1 and (pid not in struck or len(struck) == 1):
                allowed |= {2, -signal.SIGKILL}  # it has lost the other one, and was ended where it did not notice
            assert status in allowed, (number.name, struck, dict(zip(pids, statuses, strict=True)))
        if statuses == [0] * len(pids):
            self._compare()

    def finish(self) -> None:
        """Continue the run in hand to its end, and compare."""
        assert self._end(self._start(self.run)) == [0] * (1 + self.kind.two)
        self._compare()

    def _compare(self) -> None:
        assert_same_end(self.run, self._whole)
        left = [path for path in self.run.rglob("*") if path.name.startswith(".") or path.name.startswith("last")]
        assert not left
        best = [sorted(path.name for path in (run / "logs/grpo/best").iterdir()) for run in (self.run, self._whole)]
        assert best[0] == best[1]
        if self.kind.wandb:
            self._compare_wandb()
        self.counts["ends"] += 1
        self._number += 1

    def _compare_wandb(self) -> None:
        """Each step is there once, under one id; one that a killed process had not handed over yet may be missing."""
        for stage, axis, figure in (("sft", "optimizer_step", "sft/nll"), ("grpo", "rollout_step", "reward/total")):
            steps, ids = steps_and_ids(self.run / "logs" / stage, axis=axis, figure=figure)
            assert len(ids) == 1
            assert len(steps) == len(set(steps))
            assert set(steps) <= set(range(4))
            self.counts[f"{stage} steps at W&B"] += len(steps)

    @property
    def _whole(self) -> Path:
        return self.folder / "finished"

    def _start(self, run: Path) -> list[int]:
        self.folder.mkdir(exist_ok=True)
        said = [self.folder / f"said{rank}" for rank in (0, 1)]
        environment = {"WANDB_MODE": "offline", **{f"WANDB_{name}_DIR": str(self.folder) for name in WANDB_KEEPS}}
        if self.kind.two:
            return forked_pair(run, self.policy, *self.kind.settings, first=_quiet, said=said)
        return [forked(run, self.policy, *self.kind.settings, first=_quiet, said=said[0], environment=environment)]

    def _end(self, pids: Sequence[int]) -> list[int]:
        """Their statuses. As a launcher does, kill one that waits for another which has ended badly.

        One that does not end in time though none has is killed too, and an error.
        """
        until = time.monotonic() + END_S + 5 * self._takes_s
        statuses: dict[int, int] = {}
        while len(statuses) < len(pids):
            for pid in set(pids) - set(statuses):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    statuses[pid] = os.waitstatus_to_exitcode(status)
                    if statuses[pid] != 0:
                        until = min(until, time.monotonic() + GRACE_S)
            if time.monotonic() > until:
                alone = any(statuses.values())
                for pid in set(pids) - set(statuses):
                    os.kill(pid, signal.SIGKILL)
                    statuses[pid] = ended(pid)
                assert alone, f"processes did not end: {statuses}"
                self.counts["waited for a lost one"] += 1
            time.sleep(0.01)
        return [statuses[pid] for pid in pids]


def _quiet() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

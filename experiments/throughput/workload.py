"""The work both trainers do, and how it is measured: the same model, prompts, images, lengths, clock and memory."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from models import VOCABULARY
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Workload:
    """``prompts`` images of ``width`` x ``height`` px a step, one question of ``words`` words, ``group`` completions of
    exactly ``completion`` tokens each; ``vocab`` pads the tiny model's vocabulary (0: as trained).
    """

    width: int
    height: int
    words: int
    completion: int
    group: int = 8
    prompts: int = 2
    vocab: int = 0
    freeze_vision: bool = False
    kl_to_reference: bool = False
    shape: str = "tiny"


SETTINGS = {
    "A": Workload(width=224, height=224, words=40, completion=128),
    "Z": Workload(width=448, height=448, words=450, completion=256),
    "GPU": Workload(width=1024, height=768, words=600, completion=256, prompts=8, freeze_vision=True, shape="7b"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of one side's run: a setting, and any field of it that differs."""
    parser.add_argument("--setting", choices=SETTINGS, default="A")
    for name, value in asdict(SETTINGS["A"]).items():
        kind = _flag if isinstance(value, bool) else type(value)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--out", type=Path, required=True)


def read_workload(args: argparse.Namespace) -> Workload:
    """The setting with the differing fields."""
    given = {name: getattr(args, name) for name in asdict(SETTINGS["A"]) if getattr(args, name) is not None}
    return Workload(**{**asdict(SETTINGS[args.setting]), **given})


def _flag(text: str) -> bool:
    return {"0": False, "1": True}[text]


def question(work: Workload) -> str:
    """The same wording for every image."""
    rng = np.random.default_rng(0)
    words = VOCABULARY.split()
    return " ".join(words[i] for i in rng.integers(0, len(words), work.words))


def noise_images(work: Workload, count: int) -> list[Image.Image]:
    """Distinct images, the same on both sides."""
    rng = np.random.default_rng(1)
    shape = (work.height, work.width, 3)
    return [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]


def length_reward(text: str) -> float:
    """Cheap and different for different texts."""
    return (len(text) % 40) / 40


class Phases:
    """Seconds per phase, each without the phases inside it; ``lap`` ends a step."""

    def __init__(self, clock: str) -> None:
        self._clock = time.thread_time if clock == "cpu" else time.perf_counter
        self._stack: list[str] = []
        self._since = self._now()
        self._current: dict[str, float] = {}
        self.steps: list[dict[str, float]] = []

    def wrap(self, owner: Any, name: str, phase: str | Callable[[], str]) -> None:
        """Count the time spent in ``owner.name`` under a phase."""
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._stack.append(phase if isinstance(phase, str) else phase())
            try:
                return original(*args, **kwargs)
            finally:
                self._switch()
                self._stack.pop()

        setattr(owner, name, timed)

    @property
    def current(self) -> str:
        """The phase that runs."""
        return self._stack[-1] if self._stack else "other"

    def lap(self) -> None:
        """End a step."""
        self._switch()
        self.steps.append(self._current)
        self._current = {}

    def restart(self) -> None:
        """Forget what passed since the last lap."""
        self._since, self._current = self._now(), {}

    def _now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return self._clock()

    def _switch(self) -> None:
        now = self._now()
        self._current[self.current] = self._current.get(self.current, 0.0) + now - self._since
        self._since = now


class Memory:
    """Growth of memory (MB) from construction to its peak: the GPU's where there is one, else resident memory."""

    def __init__(self) -> None:
        self._on_gpu = torch.cuda.is_available()
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated() / 2**20
        else:
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
            self._before = _status("VmRSS")

    def growth(self) -> float:
        """Peak since construction, less what there was then."""
        peak = torch.cuda.max_memory_allocated() / 2**20 if self._on_gpu else _status("VmHWM")
        return peak - self._before


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def write_result(
    args: argparse.Namespace,
    work: Workload,
    phases: Phases,
    memory: Memory,
    *,
    prompt_tokens: int,
    turns: int,
    forwarded: Sequence[Mapping[str, int]] = (),
    **more: Any,
) -> None:
    """Steps after the warm-up, their phases, memory, the tokens a step handles, and what else a side has to say.

    ``forwarded`` are a step's tokens by what for.
    """
    steps = phases.steps[args.warmup :]
    totals = [sum(step.values()) for step in steps]
    names = sorted({name for step in steps for name in step})
    tokens = work.prompts * work.group * work.completion * turns
    result = {
        "workload": asdict(work),
        "clock": args.clock,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "step_s": totals,
        "tokens_per_s": tokens / statistics.median(totals),
        "phases_s": {name: statistics.median(step.get(name, 0.0) for step in steps) for name in names},
        "memory_growth_mb": memory.growth(),
        "forwarded": {name: statistics.median(step[name] for step in forwarded[args.warmup :]) for name in forwarded[0]}
        if forwarded
        else {},
        **more,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1))


def single_thread() -> None:
    """One thread, so that CPU time is comparable whatever else the machine does."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

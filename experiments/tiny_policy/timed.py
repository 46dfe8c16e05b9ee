"""The making within a time limit on a machine that is lent for minutes: finds out how many steps fit, then makes.

python experiments/tiny_policy/timed.py OUT --seconds 480 device=cuda workers=15

The numbers of steps that it chose are printed: with them, ``make_tiny_policy`` repeats the making without a clock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra.utils import instantiate

from zoom_iqa.config.composition import composed
from zoom_iqa.config.tiny_policy_run import untrained
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.language import LanguageWarmup

STARTED = time.monotonic()
RUN = Path("runs/tiny_policy/made")
START_UP = 30.0  # seconds of the making itself that are neither pictures nor steps
WRITING_SHARE = 0.35  # of the time that is left


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def taken(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def vision_times(policy: Policy, overrides: list[str], measured: int) -> tuple[float, float]:
    """Seconds that a pool takes, and that a step takes."""
    maker = instantiate(composed("make_tiny_policy", overrides).vision)
    short, long = maker(steps=2), maker(steps=2 + 2 * measured)
    begun = time.monotonic()
    pool = short.pool()
    filled = time.monotonic() - begun
    short.learn(policy, pool, refresh=True)  # kernels are chosen, queues are emptied
    prepared = taken(lambda: short.learn(policy, pool, refresh=False))
    bare = (taken(lambda: long.learn(policy, pool, refresh=False)) - prepared) / (2 * measured)
    for _ in range(2 * measured):  # what the workers made meanwhile would flatter them
        pool.refresh()
    fresh = (taken(lambda: long.learn(policy, pool, refresh=True)) - prepared) / (2 * measured)
    say(f"pool {filled:.1f} s; a vision step {fresh * 1000:.1f} ms, {bare * 1000:.1f} ms without fresh views")
    return filled, fresh


def language_times(policy: Policy, overrides: list[str], measured: int) -> tuple[float, float]:
    """Seconds that an example takes to be seen, and that a step of writing takes."""

    def maker(writing: int) -> LanguageWarmup:
        steps = [f"language.examples={count}", "language.reading.steps=1", f"language.writing.steps={writing}"]
        warmup: LanguageWarmup = instantiate(composed("make_tiny_policy", [*overrides, *steps]).language)()
        return warmup

    count = 16 * measured
    begun = time.monotonic()
    examples = maker(1).examples(policy)
    example = (time.monotonic() - begun) / count
    maker(2).learn(policy, examples)  # kernels are chosen
    short = taken(lambda: maker(2).learn(policy, examples))
    step = (taken(lambda: maker(2 + measured).learn(policy, examples)) - short) / measured
    say(f"an example {example * 1000:.1f} ms, a step of writing {step * 1000:.1f} ms")
    return example, step


def chosen(overrides: list[str], seconds: float, measured: int) -> list[str]:
    torch.set_float32_matmul_precision("high")
    cfg = composed("make_tiny_policy", overrides)
    policy = untrained(cfg)
    say("policy without training")
    example, writing_step = language_times(policy, overrides, measured)
    filled, vision_step = vision_times(policy, overrides, measured)
    left = seconds - (time.monotonic() - STARTED) - START_UP - filled
    left -= example * cfg.language.examples + cfg.language.reading.steps * writing_step * 1.5
    writing = min(cfg.language.writing.steps * writing_step, WRITING_SHARE * left)
    return [
        f"vision.steps={max(1, int((left - writing) / vision_step))}",
        f"language.writing.steps={max(1, int(writing / writing_step))}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--measured", type=int, default=40)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_intermixed_args()
    overrides = list(asked.overrides)
    if not (RUN / "warmed").exists():
        overrides += chosen(overrides, asked.seconds, asked.measured)
    command = [sys.executable, "-m", "zoom_iqa.make_tiny_policy", *overrides, f"paths.run_dir={RUN}"]
    say(" ".join(command))
    maker = subprocess.Popen(command)
    while maker.poll() is None:
        time.sleep(2)
        pack(RUN / "warmed", asked.out / "warmed.tar")
    pack(RUN / "policy", asked.out / "policy.tar")
    say(f"made, status {maker.returncode}")
    sys.exit(maker.returncode)


def pack(folder: Path, archive: Path) -> None:
    if folder.exists() and not archive.exists():
        staging = archive.with_suffix(".part")
        with tarfile.open(staging, "w") as tar:
            tar.add(folder, arcname=folder.name)
        staging.rename(archive)
        say(f"{archive.name} written")


if __name__ == "__main__":
    main()

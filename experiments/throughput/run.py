"""Time a GRPO step of TRL's trainer and of ours on the same work, in turns; ends with one line per setting.

    python experiments/throughput/run.py [--settings A Z] [--rounds 2] [--curves [NAME ...]] [--chains]

Every run is a process of its own, on one thread. The clock is CPU time, so that other jobs on the machine bend the
ratios little; ``--clock wall`` for an idle machine. All runs are appended to results.csv beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
CHAINS = HERE / "chain.csv"
MOST_TURNS = 6
STEPS = {"A": 4, "Z": 2}

CONVERSATIONS = {
    "two turns": ["--turns", "2"],
    "chain": ["--chain", "4"],
    "chain, equal prompts shared alone": ["--chain", "4", "--share-growing", "0"],
}

CURVES: dict[str, list[dict[str, int]]] = {
    "group": [{"group": g} for g in (4, 8, 16, 32)],
    "prompt": [{"words": w} for w in (40, 450, 1350)],
    "completion": [{"completion": c} for c in (64, 128, 256, 512)],
    "vocabulary": [{"vocab": v, "completion": 64, "group": 4} for v in (1_000, 8_000, 32_000, 152_064)],
}


@dataclass(frozen=True)
class Run:
    """One side's result."""

    side: str
    result: dict[str, Any]

    @property
    def step(self) -> float:
        """Median seconds of a step."""
        return float(statistics.median(self.result["step_s"]))

    @property
    def memory(self) -> float:
        """Growth of resident memory in MB."""
        return float(self.result["memory_growth_mb"])


def run_side(side: str, script: str, options: list[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / script), *options, "--out", str(out)]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return Run(side, json.loads(out.read_text()))


def as_options(fields: dict[str, int]) -> list[str]:
    return [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def compare(name: str, options: list[str], rounds: int, steps: int) -> tuple[Run, Run]:
    """Alternate the sides; each side's run with the median step."""
    common = [*options, "--steps", str(steps)]
    runs: dict[str, list[Run]] = {"trl": [], "ours": []}
    for _ in range(rounds):
        for side, script in (("trl", "trl_side.py"), ("ours", "ours.py")):
            run = run_side(side, script, common)
            runs[side].append(run)
            record(name, run)
            print(f"{name} {side:5s} {describe(run)}", flush=True)
    trl, ours = (sorted(found, key=lambda run: run.step)[len(found) // 2] for found in runs.values())
    return trl, ours


def alone(name: str, options: list[str], rounds: int) -> str:
    """A setting that the other side has not: our median step."""
    runs = []
    for _ in range(rounds):
        run = run_side(f"ours, {name}", "ours.py", ["--setting", "A", *options])
        record(f"A {name}", run)
        print(f"A ours, {name} {describe(run)}", flush=True)
        runs.append(run.step)
    return f"A {name} {statistics.median(runs):.2f} s a step"


def chains(clock: str) -> list[str]:
    """Growing chains of setting A by their turns, with what a prompt extends shared and without: rows of chain.csv."""
    rows = []
    for share in (1, 0):
        for turns in range(1, MOST_TURNS + 1):
            options = ["--setting", "A", "--chain", str(turns), "--share-growing", str(share), "--clock", clock]
            run = run_side("ours", "ours.py", [*options, "--steps", "2"])
            rows.append(
                {
                    "shared": "what a prompt extends" if share else "equal prompts",
                    "turns": turns,
                    **{f"{name}_tokens": round(count) for name, count in run.result["forwarded"].items()},
                    "step_s": f"{run.step:.2f}",
                    "memory_growth_mb": f"{run.memory:.0f}",
                }
            )
            print(*rows[-1].values(), flush=True)
    with CHAINS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return [f"{len(rows)} rows in {CHAINS.name}"]


def describe(run: Run) -> str:
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in run.result["phases_s"].items() if seconds >= 0.005)
    speed = f"{run.result['tokens_per_s']:.0f} tokens/s"
    return f"{run.step:6.2f} s a step ({phases}), {speed}, memory +{run.memory:.0f} MB"


def record(name: str, run: Run) -> None:
    """Append a run to results.csv."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
    )
    row = {
        "commit": commit.stdout.strip(),
        "experiment": name,
        "side": run.side,
        "clock": run.result["clock"],
        **run.result["workload"],
        "prompt_tokens": run.result["prompt_tokens"],
        "step_s": f"{run.step:.4f}",
        "step_s_min": f"{min(run.result['step_s']):.4f}",
        "tokens_per_s": f"{run.result['tokens_per_s']:.0f}",
        "memory_growth_mb": f"{run.memory:.0f}",
        "phases_s": json.dumps({phase: round(seconds, 4) for phase, seconds in run.result["phases_s"].items()}),
    }
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def summary(name: str, trl: Run, ours: Run) -> str:
    return f"{name} step-time ratio {trl.step / ours.step:.2f} memory ratio {ours.memory / trl.memory:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="*", default=["A", "Z"])
    parser.add_argument("--rounds", type=int, default=3, help="odd, so that there is a median run")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--chains", action="store_true", help="chains of 1 to 6 turns instead, ours alone: chain.csv")
    parser.add_argument("--curves", nargs="*", choices=CURVES, help="scaling curves instead of the settings")
    args = parser.parse_args()
    lines: list[str] = []
    if args.chains:
        lines = chains(args.clock)
    elif args.curves is not None:
        for curve in args.curves or CURVES:
            for point in CURVES[curve]:
                name = f"{curve} {next(iter(point.values()))}"
                found = compare(name, ["--setting", "A", *as_options(point), "--clock", args.clock], 1, 2)
                lines.append(summary(name, *found))
    else:
        for setting in args.settings:
            options = ["--setting", setting, "--clock", args.clock]
            lines.append(summary(setting, *compare(setting, options, args.rounds, STEPS[setting])))
        for name, options in CONVERSATIONS.items():
            lines.append(alone(name, [*options, "--clock", args.clock], args.rounds))
    print("\n".join(lines))


if __name__ == "__main__":
    main()

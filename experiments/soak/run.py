r"""Many small GRPO steps of the tiny policy: do memory, open files and the time of a step stay the same?

    python experiments/soak/run.py [--steps 500]

Writes results.csv, a row a step, and soak.png, and prints what has changed between the first steps after the warm-up
and the last. One process on one processor; nothing else is measured.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import matplotlib
import torch

from zoom_iqa.config.composition import composed
from zoom_iqa.config.training_run import train

HERE = Path(__file__).parent
RESULTS, PLOT = "results.csv", "soak.png"
WARM_UP = 0.1
"""Of the steps: caches fill, and libraries load what they need first."""
WINDOW = 0.1
"""Of the steps, at each end, whose medians are compared."""
SHOWN = (("resident_mb", "memory, MB"), ("cpu_s", "processor's time of a step, s"), ("open_files", "open files"))


def soak(folder: Path, steps: int, results: Path) -> None:
    overrides = [
        "stages=[grpo]", f"grpo.steps={steps}", "grpo.data.batch_size=1", "grpo.module.group_size=2",
        "reward=score_only", "max_new_tokens=80", "machine=cpu", "machine.workers=0", "data.test.size=4",
        "machine.image_cache=32",  # full within the warm-up
        "+callbacks.watch._target_=watch.Watch", f"+callbacks.watch.path={results}", f"paths.run_dir={folder}/run",
    ]  # fmt: skip
    train(composed("train", overrides), folder / "run")


def summary(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """The median of each figure at the begin, after the warm-up, and at the end."""
    count, begin = max(1, round(WINDOW * len(rows))), round(WARM_UP * len(rows))
    ends = rows[begin : begin + count], rows[-count:]
    return {name: tuple(statistics.median(row[name] for row in end) for end in ends) for name, _ in SHOWN}  # type: ignore[misc]


def plot(rows: list[dict[str, float]], path: Path) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(SHOWN), 1, figsize=(7, 6), sharex=True, layout="constrained")
    for axis, (name, label) in zip(axes, SHOWN, strict=True):
        axis.plot([row["step"] for row in rows], [row[name] for row in rows], linewidth=0.8)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("GRPO step")
    figure.savefig(path, dpi=90)


def read(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = args.out.resolve() / RESULTS
    with tempfile.TemporaryDirectory() as folder:
        soak(Path(folder), args.steps, results)
    rows = read(results)
    plot(rows, args.out / PLOT)
    for name, (first, last) in summary(rows).items():
        print(f"{name}: {first:.4g} at the begin, {last:.4g} at the end: {100 * (last / first - 1):+.1f} %")


if __name__ == "__main__":
    main()

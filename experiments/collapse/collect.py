r"""Logs of run.sh -> over_time.csv (a row a window of rollouts), over_time.png, and README.md's table on the screen.

    python experiments/collapse/collect.py runs/collapse [--window 25]

Runs that go on are read as far as they have come, and rows of runs that are not there stay.
Validation figures are those of the window's last evaluation.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from zoom_iqa.reports.contents import LogRow, logged
from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.rendering import mean_and_spread
from zoom_iqa.reports.study import arm_and_seed, readme_table

HERE = Path(__file__).parent
MEANS = (
    "rollout/rating_entropy",
    "rollout/digit_entropy",
    "rollout/entropy",
    "rollout/distinct_ratings_per_image",
    "reward/total",
)
LAST = ("val/embedded/unique_score_ratio", "val/embedded/srcc", "val/embedded/srcc_expected", "val/embedded/crop_rate")
HEAD = ("run", "rollouts", "window", *MEANS, *LAST)
SHOWN = {
    "rollout/distinct_ratings_per_image": "distinct ratings of a rollout / images",
    "val/embedded/unique_score_ratio": "distinct scores / validation images",
    "val/embedded/srcc_expected": "SRCC of expected ratings, validation",
}
Window = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--window", type=int, default=25, help="rollouts")
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    begun = {
        folder.name: windows(logged(folder / "logs" / "grpo" / "metrics.csv"), asked.window)
        for folder in sorted(asked.runs.glob("*_seed*"))
    }
    path = asked.out / "over_time.csv"
    rows = [
        [name, str(end), str(asked.window), *(f"{row[key]:.4f}" if key in row else "" for key in (*MEANS, *LAST))]
        for name, found in begun.items()
        for end, row in found.items()
    ]
    add_rows(path, HEAD, rows, keys=3)
    by_arm = over_seeds(read_windows(path, asked.window))
    draw(by_arm, asked.out / "over_time.png")
    print(readme_table(["arm", "rollouts", "seeds", *MEANS, *LAST], table(by_arm)))


def read_windows(path: Path, size: int) -> dict[str, dict[int, Window]]:
    """Windows of this size that the table has, by run and end; also those of runs whose folders are gone."""
    found: dict[str, dict[int, Window]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["window"] == str(size):
                values = {key: float(row[key]) for key in (*MEANS, *LAST) if row[key]}
                found.setdefault(row["run"], {})[int(row["rollouts"])] = values
    return found


def windows(rows: Sequence[LogRow], size: int) -> dict[int, Window]:
    """Figures by the number of rollouts at the window's end: means over it, and the last evaluation in it."""
    found: dict[int, Window] = {}
    ends = sorted({(int(row["step"]) // size + 1) * size for row in rows})
    for end in ends:
        own = [row for row in rows if end - size <= row["step"] < end]
        window = {key: statistics.fmean(values) for key in MEANS if (values := [row[key] for row in own if key in row])}
        window |= {key: values[-1] for key in LAST if (values := [row[key] for row in own if key in row])}
        found[end] = window
    return found


def over_seeds(found: Mapping[str, Mapping[int, Window]]) -> dict[str, dict[int, list[Window]]]:
    """Windows of every seed by arm and end."""
    by_arm: dict[str, dict[int, list[Window]]] = {}
    for name, rows in found.items():
        arm, _ = arm_and_seed(name) or (name, None)
        for end, row in rows.items():
            by_arm.setdefault(arm, {}).setdefault(end, []).append(row)
    return by_arm


def table(by_arm: Mapping[str, Mapping[int, Sequence[Window]]]) -> list[list[str]]:
    """The first window of each arm, those at thirds, and the last."""
    rows = []
    for arm, ends in by_arm.items():
        listed = sorted(ends)
        for end in sorted({listed[round(place * (len(listed) - 1) / 3)] for place in range(4)}):
            values = [[one[key] for one in ends[end] if key in one] for key in (*MEANS, *LAST)]
            cells = [mean_and_spread(found) if found else "" for found in values]
            rows.append([arm, str(end), str(len(ends[end])), *cells])
    return rows


def draw(by_arm: Mapping[str, Mapping[int, Sequence[Window]]], path: Path) -> None:
    figure, panels = plt.subplots(1, len(SHOWN), figsize=(13, 3.6))
    for panel, (key, title) in zip(panels, SHOWN.items(), strict=True):
        for arm, ends in by_arm.items():
            points = [
                (end, statistics.fmean(values))
                for end, rows in sorted(ends.items())
                if (values := [row[key] for row in rows if key in row])
            ]
            panel.plot([end for end, _ in points], [value for _, value in points], "-o", ms=3, label=arm)
        panel.set(title=title, xlabel="rollouts", xlim=(0, None), ylim=(0, 1.05 * panel.get_ylim()[1]))
    panels[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()

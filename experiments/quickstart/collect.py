"""Run folders of the quickstart -> results.csv, and mean and spread over seeds on the terminal."""

from __future__ import annotations

import csv
import json
import statistics
import sys
from pathlib import Path

COLUMNS = ("srcc", "plcc", "unique_score_ratio", "valid_rate", "format_rate", "crop_rate", "rmse", "mean_reward", "n")
RESULTS = Path(__file__).with_name("results.csv")


def main(folders: list[str]) -> None:
    rows = []
    for folder in sorted(folders):
        for stage, figures in json.loads((Path(folder) / "metrics.json").read_text()).items():
            values = {name: figures[name] for name in COLUMNS}
            rows.append({"run": Path(folder).name, "stage": stage, **values})
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("run", "stage", *COLUMNS))
        writer.writeheader()
        writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    for stage in dict.fromkeys(row["stage"] for row in rows):
        mine = [row for row in rows if row["stage"] == stage]
        shown = [f"{name} {_spread([row[name] for row in mine])}" for name in COLUMNS[:-1]]
        print(f"{stage} ({len(mine)} runs): " + ", ".join(shown))
    gains = [
        grpo["srcc"] - sft["srcc"]
        for sft in rows
        for grpo in rows
        if sft["run"] == grpo["run"] and (sft["stage"], grpo["stage"]) == ("sft", "grpo")
    ]
    print("SRCC gained by GRPO, run by run:", ", ".join(f"{gain:+.3f}" for gain in gains))


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])

"""Evaluation folders -> results.csv, one row each."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

COLUMNS = ("n", "srcc", "plcc", "plcc_logistic4", "krcc", "rmse", "unique_score_ratio", "valid_rate", "crop_rate")
RESULTS = Path(__file__).with_name("results.csv")


def main(runs: Path) -> None:
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("run", *COLUMNS, "srcc_low", "srcc_high"))
        for path in sorted(runs.glob("*/livewild_jpeg/scores.csv")):
            figures = json.loads((path.parents[1] / "metrics.json").read_text())["livewild_jpeg"]
            interval = figures.get("srcc_interval")
            bounds = (
                (interval["low"], interval["high"]) if isinstance(interval, dict) and "low" in interval else ("", "")
            )
            row = [path.parents[1].name, *(figures.get(name) for name in COLUMNS), *bounds]
            writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in row])
    print(RESULTS.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

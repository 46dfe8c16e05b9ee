"""Evaluation folders -> results.csv, one row each; rows that it has of other folders stay."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from zoom_iqa.reports.kept import add_rows

COLUMNS = (
    "n", "srcc", "srcc_single", "srcc_expected", "rating_variance", "plcc", "plcc_logistic4", "krcc", "rmse",
    "unique_score_ratio", "valid_rate", "crop_rate",
)  # fmt: skip
"""Figures of single answers and of expected ratings are those of policies alone, and of runs that measured them."""
HEAD = ("run", *COLUMNS, "srcc_low", "srcc_high")
HERE = Path(__file__).parent


def main(runs: Path, results: Path) -> None:
    rows = []
    for path in sorted(runs.glob("*/livewild_jpeg/scores.csv")):
        figures = json.loads((path.parents[1] / "metrics.json").read_text())["livewild_jpeg"]
        interval = figures.get("srcc_interval")
        bounds = (interval["low"], interval["high"]) if isinstance(interval, dict) and "low" in interval else ("", "")
        row = [path.parents[1].name, *(figures.get(name, "") for name in COLUMNS), *bounds]
        rows.append([f"{value:.4f}" if isinstance(value, float) else str(value) for value in row])
    add_rows(results, HEAD, rows, keys=1)
    print(results.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), HERE / (sys.argv[2] if len(sys.argv) > 2 else "results.csv"))

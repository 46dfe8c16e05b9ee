"""Evaluation folders -> results.csv, one row each; rows that it has of other folders stay.

A table that an older version wrote, with other columns, is replaced whole.
Each row but NIQE's own has its SRCC less NIQE's, paired over images; empty where NIQE has not been run.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import bootstrap_difference
from zoom_iqa.reports.kept import add_rows

COLUMNS = (
    "n", "srcc", "srcc_single", "srcc_expected", "rating_variance", "plcc", "plcc_logistic4", "krcc", "rmse",
    "unique_score_ratio", "valid_rate", "crop_rate",
)  # fmt: skip
"""Figures of single answers and of expected ratings are those of policies alone, and of runs that measured them."""
HEAD = ("run", *COLUMNS, "srcc_low", "srcc_high", "over_niqe", "over_niqe_low", "over_niqe_high")
HERE = Path(__file__).parent


def main(runs: Path, results: Path) -> None:
    rows = []
    niqe = rated(runs / "niqe" / "livewild_jpeg" / "scores.csv")
    for path in sorted(runs.glob("*/livewild_jpeg/scores.csv")):
        figures = json.loads((path.parents[1] / "metrics.json").read_text())["livewild_jpeg"]
        interval = figures.get("srcc_interval")
        bounds = (interval["low"], interval["high"]) if isinstance(interval, dict) and "low" in interval else ("", "")
        row = [path.parents[1].name, *(figures.get(name, "") for name in COLUMNS), *bounds]
        row += over(rated(path), niqe)
        rows.append([f"{value:.4f}" if isinstance(value, float) else str(value) for value in row])
    add_rows(results, HEAD, rows, keys=1)
    print(results.read_text())


def rated(path: Path) -> dict[str, tuple[float, float]]:
    """Rating and opinion score of each image that has a rating."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: (float(row["rating"]), float(row["mos"])) for row in csv.DictReader(file) if row["rating"]}


def over(rows: dict[str, tuple[float, float]], niqe: dict[str, tuple[float, float]]) -> list[float | str]:
    """SRCC less NIQE's on the images that both rate, with its interval; empty where there is none."""
    both = sorted(rows.keys() & niqe.keys())
    ratings, base = ([one[name][0] for name in both] for one in (rows, niqe))
    mos = [niqe[name][1] for name in both]
    if ratings == base:
        return ["", "", ""]
    try:
        change = bootstrap_difference(ratings, base, mos, metric="srcc", n_resamples=2000, seed=0)
    except UndefinedMetricError:
        return ["", "", ""]
    return [srcc(ratings, mos) - srcc(base, mos), change.low, change.high]


if __name__ == "__main__":
    main(Path(sys.argv[1]), HERE / (sys.argv[2] if len(sys.argv) > 2 else "results.csv"))

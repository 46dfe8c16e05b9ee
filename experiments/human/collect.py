"""Evaluation folders -> results.csv, one row each, and their mean and spread over seeds on the screen."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from zoom_iqa.reports.rendering import mean_and_spread

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = {
    "srcc": ("srcc",),
    "srcc_caption": ("srcc_caption",),
    "gap": ("srcc_gap_caption",),
    "gap_low": ("srcc_gap_interval_caption", "low"),
    "gap_high": ("srcc_gap_interval_caption", "high"),
    "srcc_struck": ("srcc_caption_struck",),
    "gap_struck": ("srcc_gap_caption_struck",),
    "plcc": ("plcc",),
    "plcc_caption": ("plcc_caption",),
    "srcc_single": ("srcc_single",),
    "rmse": ("rmse",),
    "rouge1_precision": ("rouge1", "precision"),
    "rouge1_recall": ("rouge1", "recall"),
    "rouge1_f1": ("rouge1", "f1"),
    "people_f1": ("rouge1_people", "f1"),
    "words": ("words",),
    "valid_rate": ("valid_rate",),
    "format_rate": ("format_rate",),
    "asked": ("asked_caption",),
    "valid_rate_caption": ("valid_rate_caption",),
}


def main(runs: Path) -> None:
    rows = {path.parents[1].name: _row(path) for path in sorted(runs.glob("*/judged/metrics.json"))}
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", *COLUMNS])
        for name, row in rows.items():
            writer.writerow([name, *(f"{value:.4f}" if isinstance(value, float) else value for value in row.values())])
    by_arm = defaultdict(list)
    for name, row in rows.items():
        by_arm[name.rpartition("_seed")[0]].append(row)
    for arm, found in by_arm.items():
        print(
            arm, f"{len(found)} seeds", *(f"{column} {_spread([row[column] for row in found])}" for column in COLUMNS)
        )


def _row(path: Path) -> dict[str, Any]:
    figures = json.loads(path.read_text(encoding="utf-8"))["embedded"]
    row = {}
    for column, keys in COLUMNS.items():
        value: Any = figures
        for key in keys:
            value = value.get(key, "") if isinstance(value, dict) else ""
        row[column] = value
    return row


def _spread(values: list[Any]) -> str:
    numbers = [value for value in values if isinstance(value, float)]
    return mean_and_spread(numbers) if numbers else "undefined"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Run folders of run.sh -> results.csv and control.csv, and mean and spread over seeds on the screen."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoom_iqa.reports.rendering import mean_and_spread

HERE = Path(__file__).parent
COLUMNS = (
    "srcc", "srcc_single", "srcc_expected", "plcc", "rmse_single", "squared_bias", "rating_variance", "format_rate",
    "valid_rate", "crop_rate", "turns_per_image", "looks_per_image", "look_hit_rate", "look_hit_rate_by_chance",
    "evidence_coverage", "evidence_iou", "defect_accuracy", "defect_family_accuracy",
)  # fmt: skip
CONTROL = ("n", "srcc", "rmse", "mean rating", "defect named")
PRISTINE = (
    "rated at once", "looked by itself", "mean rating of those", "rated again after a look", "mean rating at once",
    "mean rating after the look", "lower after the look", "higher after the look",
)  # fmt: skip


def main(runs: Path) -> None:
    judged = {path.parents[1].name: _figures(path) for path in sorted(runs.glob("*/judged/metrics.json"))}
    _write(HERE / "results.csv", ("run", *COLUMNS), [(name, *row.values()) for name, row in judged.items()])
    _print(judged)
    control = {path.parent.name: json.loads(path.read_text()) for path in sorted(runs.glob("*/control.json"))}
    places = {
        f"{place}: {name}": {key: row.get(key, "") for key in CONTROL}
        for name, found in control.items()
        for place, row in found["regional"]["places"].items()
    }
    pristine = {
        f"pristine: {name}": {key: found["pristine"][key] for key in PRISTINE} for name, found in control.items()
    }
    rows = [
        (name, key, value) for part in (places, pristine) for name, row in part.items() for key, value in row.items()
    ]
    _write(HERE / "control.csv", ("run", "figure", "value"), rows)
    _print(places)
    _print(pristine)


def _figures(path: Path) -> dict[str, Any]:
    figures = json.loads(path.read_text(encoding="utf-8"))["embedded"]
    return {column: figures.get(column, "") for column in COLUMNS}


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def _print(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """One line an arm, its seeds together."""
    by_arm: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for name, row in rows.items():
        by_arm[name.rpartition("_seed")[0]].append(row)
    for arm, found in by_arm.items():
        figures = (f"{column} {_spread([row[column] for row in found])}" for column in found[0])
        print(arm, f"{len(found)} seeds", *figures, sep=", ")


def _spread(values: Sequence[Any]) -> str:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return mean_and_spread(numbers) if numbers else "undefined"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

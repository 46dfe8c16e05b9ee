r"""Run folders of run.sh -> results.csv and control.csv, and their tables over seeds on the screen.

python experiments/chains/collect.py runs/chains [--resamples 1000]
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.rendering import mean_and_spread
from zoom_iqa.reports.study import effect_table, figure_table, read_study, readme_table, study_arguments, write_runs

HERE = Path(__file__).parent
FIGURES = {
    "SRCC": "srcc",
    "of single answers": "srcc_single",
    "of expected ratings": "srcc_expected",
    "variance within images": "rating_variance",
    "squared bias": "squared_bias",
    "well-formed": "format_rate",
    "answers that look": "crop_rate",
    "looks": "looks_per_image",
    "looks that hit": "look_hit_rate",
    "by chance": "look_hit_rate_by_chance",
    "region covered": "evidence_coverage",
    "IoU": "evidence_iou",
    "defect named": "defect_accuracy",
    "its family": "defect_family_accuracy",
    "PLCC": "plcc",
    "RMSE of single answers": "rmse_single",
    "readable": "valid_rate",
    "turns": "turns_per_image",
}
ARMS = ("sft", "zoom", "flat", "pcr", "evidence", "random")
EFFECTS = (
    ("GRPO, flat reward", "flat", "sft"),
    ("GRPO, ladder", "pcr", "sft"),
    ("chain against two turns", "flat", "zoom"),
    ("ladder against flat reward", "pcr", "flat"),
    ("evidence filter against none", "evidence", "pcr"),
    ("evidence filter against as many by chance", "evidence", "random"),
)
CONTROL = ("n", "srcc", "rmse", "mean rating", "defect named")
MOVED = ("n", "mean")
PRISTINE = (
    "rated at once", "looked by itself", "mean rating of those", "rated again after a look", "mean rating at once",
    "mean rating after the look", "lower after the look", "higher after the look",
)  # fmt: skip


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = read_study(asked.runs, within="judged")
    write_runs(arms, asked.out / "results.csv", list(FIGURES.values()))
    print(figure_table(arms, FIGURES, dict(zip(ARMS, ARMS, strict=True))), end="\n\n")
    print(effect_table(arms, EFFECTS, n_resamples=asked.resamples), end="\n\n")
    control(asked.runs, asked.out / "control.csv")


def control(runs: Path, out: Path) -> None:
    """The controls of crops and of pristine images: a file of every figure, and their means over seeds."""
    found = {path.parent.name: json.loads(path.read_text()) for path in sorted(runs.glob("*/control.json"))}
    places = {
        f"{place}: {name}": {key: row.get(key, "") for key in CONTROL}
        for name, one in found.items()
        for place, row in one["regional"]["places"].items()
    }
    moved = {
        f"rating moved by {look} alone: {name}": {key: row[key] for key in MOVED}
        for name, one in found.items()
        for look, row in one["regional"]["rating moved by one look at a random place"].items()
    }
    pristine = {f"pristine: {name}": {key: one["pristine"][key] for key in PRISTINE} for name, one in found.items()}
    rows = [
        [name, key, f"{value:.4f}" if isinstance(value, float) else str(value)]
        for name, row in (places | moved | pristine).items()
        for key, value in row.items()
    ]
    add_rows(out, ["run", "figure", "value"], rows, keys=2)
    _print(places, CONTROL)
    _print(moved, MOVED)
    _print(pristine, PRISTINE)


def _print(rows: Mapping[str, Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """A row an arm, over its seeds."""
    by_arm: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for name, row in rows.items():
        by_arm[name.rpartition("_seed")[0]].append(row)
    print(
        readme_table(
            ["", *columns], [[arm, *(_spread(found, key) for key in columns)] for arm, found in by_arm.items()]
        ),
        end="\n\n",
    )


def _spread(rows: list[Mapping[str, Any]], key: str) -> str:
    numbers = [float(row[key]) for row in rows if isinstance(row[key], int | float)]
    if all(number == int(number) for number in numbers):
        return " + ".join(str(int(number)) for number in numbers)
    return mean_and_spread(numbers) if numbers else ""


if __name__ == "__main__":
    main()

"""The paper's Table 3: what each part of the method adds, from the runs of a multirun, over seeds."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import DataError
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.reports.runs import FinishedRun, read_run

ROWS = {
    "table3_sft": "SFT only",
    "table3_rank": "rank reward",
    "table3_score": "score reward",
    "table3_score_rank": "score and rank",
    "table3_kl_coverage": "+ KL-Coverage",
    "table3_progressive": "+ progressive re-sampling",
}
COLUMNS = {
    "PLCC (raw)": "plcc",
    "SRCC": "srcc",
    "unique-score ratio": "unique_score_ratio",
    "format rate": "format_rate",
    "crop rate": "crop_rate",
}
VARYING = ("seed", "paths", "machine")
"""Config keys, at any depth, in which the runs of one row may differ."""


def read_multirun(folder: Path) -> tuple[list[FinishedRun], list[str]]:
    """The training runs below a folder that have ended, and a line for each that has not.

    Raises:
        DataError: none has ended.
    """
    runs: list[FinishedRun] = []
    open_runs: list[str] = []
    for config in sorted(folder.rglob("config.yaml")):
        name = str(config.parent.relative_to(folder))
        if not (config.parent / "metrics.json").is_file():
            open_runs.append(f"{name} has no figures yet")
            continue
        run = read_run(config.parent)
        if not run.trained:
            continue
        if run.last_stage not in run.metrics:
            open_runs.append(f"{name} has not reached the end of its stage {run.last_stage}")
            continue
        runs.append(run)
    if not runs:
        raise DataError(f"{folder}: no training run has ended below it; give the folder of a multirun", open_runs)
    return runs, open_runs


def ablation_table(runs: Sequence[FinishedRun], open_runs: Sequence[str]) -> TextTable:
    """One row per experiment name, mean and standard deviation over its seeds after its last stage.

    Raises:
        DataError: runs of one name differ in more than their seed, or share it.
    """
    by_name: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_name.setdefault(str(run.config["name"]), []).append(run)
    known = [name for name in ROWS if name in by_name]
    rows, notes = [], [f"not in the table: {line}" for line in open_runs]
    for name in [*known, *sorted(by_name.keys() - ROWS.keys())]:
        group = sorted(by_name[name], key=lambda run: int(run.config["seed"]))
        _check_group(name, group)
        figures = [run.by_dataset for run in group]
        cells = [_cell([one[key] for by_dataset in figures for one in by_dataset.values()]) for key in COLUMNS.values()]
        seeds = ", ".join(str(run.config["seed"]) for run in group)
        images = sorted({one["n"] for by_dataset in figures for one in by_dataset.values()})
        rows.append([ROWS.get(name, name), name, MEASURED, seeds, ", ".join(map(str, images)), *cells])
    datasets = sorted({dataset for run in runs for dataset in run.by_dataset})
    return TextTable(
        title=f"Ablation on {', '.join(datasets)}: mean ± standard deviation over seeds",
        header=["row", "experiment", "origin", "seeds", "images", *COLUMNS],
        names=5,
        rows=[*rows, *_published_rows()],
        notes=["One seed has no deviation; figures undefined in a run are left out of its row and counted.", *notes],
    )


def _cell(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, float)]
    undefined = len(values) - len(numbers)
    said = f" ({undefined} undefined)" if undefined else ""
    if not numbers:
        return "undefined"
    spread = f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else ""
    return f"{statistics.fmean(numbers):.3f}{spread}{said}"


def _check_group(name: str, group: Sequence[FinishedRun]) -> None:
    seeds = [run.config["seed"] for run in group]
    if len(set(seeds)) < len(seeds):
        listed = [f"{run.path}: seed {run.config['seed']}" for run in group]
        raise DataError(f"{name}: runs share a seed; move those that do not count elsewhere", listed)
    first = _leaves(group[0].config)
    for run in group[1:]:
        leaves = _leaves(run.config)
        differing = sorted(key for key in first.keys() | leaves.keys() if first.get(key) != leaves.get(key))
        if differing:
            listed = [f"{key[1:]}: {first.get(key)} and {leaves.get(key)}" for key in differing]
            raise DataError(f"{name}: runs differ in more than their seed, so they make no mean ({run.path})", listed)


def _leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Every value of a config by its path, without those in which runs of a row may differ."""
    if isinstance(node, dict):
        children = [(str(key), value) for key, value in node.items() if key not in VARYING]
    elif isinstance(node, list):
        children = [(str(index), value) for index, value in enumerate(node)]
    else:
        return {path: node}
    return {key: value for name, child in children for key, value in _leaves(child, f"{path}.{name}").items()}


def _published_rows() -> list[list[str]]:
    """What the paper says of score diversity, for comparison."""
    text = files("zoom_iqa").joinpath("assets/published/unique_scores.csv").read_text(encoding="utf-8")
    return [
        [row["method"], "", f"published, {row['source']}", "", "", *(_published(row, key) for key in COLUMNS.values())]
        for row in csv.DictReader(text.splitlines())
    ]


def _published(row: Mapping[str, str], key: str) -> str:
    return f"{float(row[key]):.3f}" if row.get(key) else ""

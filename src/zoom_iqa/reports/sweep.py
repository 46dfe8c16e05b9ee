"""A sweep in one table: a row a run, with the values that differ between runs and the figures of its last stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoom_iqa.reports.ablation import leaves, read_multirun
from zoom_iqa.reports.rendering import TextTable
from zoom_iqa.reports.runs import FinishedRun

FIGURES = {
    "images": "n",
    "SRCC": "srcc",
    "SRCC expected": "srcc_expected",
    "accuracy": "accuracy",
    "order flips": "order_flip_rate",
    "PLCC (raw)": "plcc",
    "pair accuracy": "pair_accuracy",
    "RMSE": "rmse",
    "unique-score ratio": "unique_score_ratio",
    "valid rate": "valid_rate",
    "format rate": "format_rate",
    "crop rate": "crop_rate",
    "mean reward": "mean_reward",
}


def sweep_table(folder: Path) -> TextTable:
    """The runs below the folder of a multirun, the highest SRCC first, or accuracy where images are compared.

    Figures that no run has are left out; notes name the runs that have not ended.

    Raises:
        DataError: none has ended.
    """
    runs, open_runs = read_multirun(folder)
    keys = differing(runs)
    ordered = sorted(runs, key=lambda run: -_number(_last(run).get("accuracy", _last(run).get("srcc"))))
    figures = {title: key for title, key in FIGURES.items() if any(key in _last(run) for run in runs)}
    rows = [
        [
            str(run.path.relative_to(folder)),
            *(config_value(values_of(run).get(key)) for key in keys),
            *(shown(_last(run).get(figure)) for figure in figures.values()),
        ]
        for run in ordered
    ]
    return TextTable(
        title=f"{folder}: {len(runs)} runs, the last stage of each",
        header=["run", *keys, *figures],
        names=1 + len(keys),
        rows=rows,
        notes=[f"not in the table: {line}" for line in open_runs],
    )


def differing(runs: Sequence[FinishedRun]) -> list[str]:
    """The config's keys, seeds among them, in which runs differ; of equal columns the first."""
    configs = [values_of(run) for run in runs]
    keys = sorted({key for config in configs for key in config})
    columns: dict[tuple[str, ...], str] = {}
    for key in keys:
        column = tuple(str(config.get(key)) for config in configs)
        if len(set(column)) > 1:
            columns.setdefault(column, key)
    return sorted(columns.values())


def values_of(run: FinishedRun) -> dict[str, Any]:
    """The values of a run's config by key, its seed among them."""
    values = {key.removeprefix("."): value for key, value in leaves(run.config).items()}
    return {**values, "seed": run.config.get("seed")}


def config_value(value: Any) -> str:
    """A value of a config as a table has it, whole: two that differ look different."""
    return "" if value is None else str(value)


def shown(value: Any) -> str:
    """A figure as a table has it, without the reason of one that is undefined."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).partition(" (")[0]


def _last(run: FinishedRun) -> Mapping[str, Any]:
    return run.metrics[run.last_stage]


def _number(value: Any) -> float:
    return value if isinstance(value, float) else -1.0

"""The closing table of a run: one row per stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

COLUMNS = {
    "PLCC": "plcc",
    "SRCC": "srcc",
    "unique scores": "unique_score_ratio",
    "valid format": "format_rate",
    "crop rate": "crop_rate",
    "mean reward": "mean_reward",
    "images": "n",
}


def print_table(metrics: Mapping[str, Mapping[str, Any]], run_dir: Path) -> None:
    """Print the stages' figures and where the run lies."""
    table = Table(title="held-out images (raw PLCC and SRCC)")
    table.add_column("stage")
    for title in COLUMNS:
        table.add_column(title, justify="right")
    for stage, figures in metrics.items():
        table.add_row(stage, *(_shown(figures.get(key)) for key in COLUMNS.values()))
    console = Console()
    console.print(table)
    console.print(f"run folder: {run_dir}", soft_wrap=True, highlight=False)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value).partition(" (")[0]  # metrics.json says why one is undefined

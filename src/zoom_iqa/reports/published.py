"""The paper's own figures: rows of its Tables 1 and 3, and what it says of score diversity."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

PAPER = "Zoom-IQA (arXiv 2601.02918v2)"

DATASETS = {
    "koniq": "KonIQ",
    "spaq": "SPAQ",
    "kadid": "KADID",
    "pipal": "PIPAL",
    "livew": "LIVE-Wild",
    "agiqa": "AGIQA-3K",
    "csiq": "CSIQ",
}
"""The data sets of both tables, in the paper's order."""

Pair = tuple[str, str]
"""PLCC and SRCC as printed."""


@dataclass(frozen=True)
class PublishedRow:
    """A row's PLCC and SRCC by data set, and its other columns as the file has them."""

    columns: dict[str, str]
    figures: dict[str, Pair]


def published_rows(table: str) -> list[PublishedRow]:
    """The rows of assets/published/TABLE.csv, table1 or table3."""
    return [
        PublishedRow(
            {key: value for key, value in row.items() if not key.endswith(("_plcc", "_srcc"))},
            {name: (row[f"{name}_plcc"], row[f"{name}_srcc"]) for name in DATASETS},
        )
        for row in rows_of(table)
    ]


def published_diversity() -> dict[str, str]:
    """The unique-score ratio of each method that the paper gives one of."""
    return {row["method"]: f"{float(row['unique_score_ratio']):.3f}" for row in rows_of("unique_scores")}


def rows_of(table: str) -> list[dict[str, str]]:
    """The lines of assets/published/TABLE.csv by column, as texts."""
    text = files("zoom_iqa").joinpath(f"assets/published/{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))

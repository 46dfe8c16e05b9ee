"""The paper's Table 1: PLCC and SRCC on seven benchmarks, published rows and rows measured here."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from zoom_iqa.base.errors import DataError
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.reports.runs import Figures

DATASETS = {
    "koniq": "KonIQ",
    "spaq": "SPAQ",
    "kadid": "KADID",
    "pipal": "PIPAL",
    "livew": "LIVE-Wild",
    "agiqa": "AGIQA-3K",
    "csiq": "CSIQ",
}
PLCC_KINDS = {
    "raw": ("plcc", "raw"),
    "logistic4": ("plcc_logistic4", "after a 4-parameter logistic fit"),
    "isotonic": ("plcc_isotonic", "after isotonic regression"),
}

Pair = tuple[str, str]
"""PLCC and SRCC as printed."""


@dataclass(frozen=True)
class PublishedRow:
    """A method's PLCC and SRCC by data set as its source prints them; None where it prints none."""

    method: str
    figures: dict[str, Pair | None]
    source: str


def published_rows() -> list[PublishedRow]:
    """The rows of assets/published/table1.csv."""
    text = files("zoom_iqa").joinpath("assets/published/table1.csv").read_text(encoding="utf-8")
    return [
        PublishedRow(
            row["method"],
            {
                key: (row[f"{key}_plcc"], row[f"{key}_srcc"]) if row[f"{key}_plcc"] and row[f"{key}_srcc"] else None
                for key in DATASETS
            },
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    ]


def benchmark_table(
    measured: Mapping[str, Mapping[str, Figures]], *, plcc: str, paired: bool, remarks: Sequence[str]
) -> TextTable:
    """Table 1; ``measured`` holds figures by row name and data set, ``plcc`` says which PLCC of ours is shown.

    Data sets beside the seven get columns of their own after them; ``paired`` writes PLCC and SRCC into one cell, as
    the paper does, else they have a column each; ``remarks`` are notes about our rows.
    """
    key, kind = PLCC_KINDS[plcc]
    others = sorted({name for row in measured.values() for name in row} - DATASETS.keys())
    columns = {**DATASETS, **{name: name for name in others}}
    rows = [
        [row.method, f"published, {row.source}", *_cells([row.figures.get(name) for name in columns], paired)]
        for row in published_rows()
    ]
    rows += [
        [label, MEASURED, *_cells([_measured(figures.get(name), key) for name in columns], paired)]
        for label, figures in measured.items()
    ]
    header = _cells([(f"{title} PLCC", f"{title} SRCC") for title in columns.values()], False)
    return TextTable(
        title="PLCC / SRCC on image quality benchmarks",
        header=["method", "origin", *(columns.values() if paired else header)],
        names=2,
        rows=rows,
        notes=[
            "Published methods are trained on KonIQ-10k alone, NIQE on none of the benchmarks.",
            f"PLCC {MEASURED} is {kind}; published PLCC is of the kind each source uses, which few state.",
            *remarks,
            *(f"{label}: {_images(row)}." for label, row in measured.items()),
        ],
    )


def merged(runs: Sequence[tuple[str, Mapping[str, Figures]]]) -> dict[str, dict[str, Figures]]:
    """Figures of several runs by row name: runs of one name share a row.

    Raises:
        DataError: two runs of one name hold the same data set.
    """
    rows: dict[str, dict[str, Figures]] = {}
    for label, figures in runs:
        row = rows.setdefault(label, {})
        twice = sorted(row.keys() & figures.keys())
        if twice:
            raise DataError(f"{label}: two runs hold {', '.join(twice)}; give them different names (NAME=FOLDER)")
        row.update(figures)
    return rows


def _cells(pairs: Sequence[Pair | None], paired: bool) -> list[str]:
    if paired:
        return ["" if pair is None else " / ".join(pair) for pair in pairs]
    return [text for pair in pairs for text in (pair or ("", ""))]


def _measured(figures: Figures | None, key: str) -> Pair | None:
    return None if figures is None else (_number(figures[key]), _number(figures["srcc"]))


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "undefined"


def _images(row: Mapping[str, Figures]) -> str:
    """How many images each figure of a row is of, and how many of them have no readable rating."""
    said = []
    for name, figures in row.items():
        unreadable = figures["n"] - figures["n_valid"]
        left_out = f", {unreadable:,} of them unreadable and left out" if unreadable else ""
        said.append(f"{name} {figures['n']:,} images{left_out}")
    return "; ".join(said)

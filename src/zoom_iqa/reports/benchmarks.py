"""The paper's Table 1: PLCC and SRCC on seven benchmarks, published rows and rows measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoom_iqa.base.errors import DataError
from zoom_iqa.evaluation.table import clipped_said, expected_said
from zoom_iqa.reports.numbers import figure_cell
from zoom_iqa.reports.published import DATASETS, PAPER, Pair, published_rows
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.reports.runs import Figures

PLCC_KINDS = {
    "raw": ("plcc", "raw"),
    "logistic4": ("plcc_logistic4", "after a 4-parameter logistic fit"),
    "isotonic": ("plcc_isotonic", "after isotonic regression"),
}
PUBLISHED = f"published, {PAPER} Table 1"


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
        [row.columns["method"], PUBLISHED, *_cells([row.figures.get(name) for name in columns], paired)]
        for row in published_rows("table1")
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
            "Published methods but the handcrafted NIQE and BRISQUE are trained on KonIQ-10k alone.",
            f"PLCC {MEASURED} is {kind}; the paper does not say whether its PLCC is fitted.",
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
    return None if figures is None else (figure_cell(figures[key]), figure_cell(figures["srcc"]))


def _images(row: Mapping[str, Figures]) -> str:
    """The number of images that each figure of a row is of, of unreadable ones, and of what was clipped; and the
    agreement of expected ratings, which tells better answers from sharper ones.
    """
    said = []
    for name, figures in row.items():
        unreadable = figures["n"] - figures["n_valid"]
        left_out = f", {unreadable:,} of them unreadable and left out" if unreadable else ""
        parts = (f"{name} {figures['n']:,} images{left_out}", clipped_said(figures), expected_said(figures))
        said.append(", ".join(filter(None, parts)))
    return "; ".join(said)

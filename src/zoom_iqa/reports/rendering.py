"""A table of texts as Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from zoom_iqa.base.printable import printable

MEASURED = "measured here"
"""The mark of a row of ours; others name the place of their publication."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Rows of texts under ``header``; the first ``names`` columns are words, the others figures. ``notes`` follow."""

    title: str
    header: Sequence[str]
    names: int
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError("every row needs as many cells as the header")


def markdown(table: TextTable) -> str:
    """A GitHub table with its title before and its notes after it."""
    cells = [[printable(cell).replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = [_markdown_row(row, widths, table.names) for row in cells]
    rule = ["-" * width if place < table.names else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    notes = [f"- {printable(note)}" for note in table.notes]
    body = [lines[0], _markdown_row(rule, widths, 0), *lines[1:]]
    return "\n".join([f"**{printable(table.title)}**", "", *body, "", *notes]) + "\n"


def mean_and_spread(values: Sequence[float]) -> str:
    """A cell: the mean, and the standard deviation where there are several."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def comma_separated(table: TextTable) -> str:
    """Header and rows alone, so that any program reads it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


def latex(table: TextTable) -> str:
    """A booktabs table; the notes are comments before it."""
    columns = "l" * table.names + "r" * (len(table.header) - table.names)
    rows = [_latex_row(row) for row in (table.header, *table.rows)]
    return "\n".join(
        [
            *(f"% {printable(note)}" for note in table.notes),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex_text(printable(table.title))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


FORMATS: dict[str, Callable[[TextTable], str]] = {"markdown": markdown, "csv": comma_separated, "latex": latex}

_LATEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "✓": r"$\checkmark$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATEX |= {character: "\\" + character for character in "&%$#_{}"}


def _markdown_row(cells: Sequence[str], widths: Sequence[int], names: int) -> str:
    padded = [
        cell + " " * (width - cell_len(cell)) if place < names else " " * (width - cell_len(cell)) + cell
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _latex_row(cells: Sequence[str]) -> str:
    row = " & ".join(_latex_text(printable(cell)) for cell in cells) + r" \\"
    return "{}" + row if row[0] in "[*" else row  # the end of the row before would take such a sign for its own


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)

"""Judging from words and writing as people do (H-IQA, arXiv 2512.16484): published, recomputed and measured rows.

Its tables are not public, so every row says how it was obtained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from zoom_iqa.reports.numbers import ends_said, figure_cell
from zoom_iqa.reports.published import rows_of
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.reports.runs import Figures

HEADER = (
    "method",
    "data set",
    "view",
    "origin",
    "PLCC",
    "SRCC",
    "ROUGE-1 precision",
    "ROUGE-1 recall",
    "ROUGE-1 F1",
    "ROUGE-1, not said which",
    "words",
)
VIEWS = {"caption": "caption", "caption_struck": "caption, ratings and grades struck", "description": "description"}
"""Views without the image, by the name of the probe."""

CEILING = "references: each and the nearest other"
"""The row that the one above it is to be compared with; references are people's, or synthetic in the embedded set."""

_COLUMNS = ("method", "dataset", "view", "origin", "plcc", "srcc")
_ROUGE = ("precision", "recall", "f1")


def human_like_table(measured: Mapping[str, Mapping[str, Figures]], *, remarks: Sequence[str]) -> TextTable:
    """The table; ``measured`` holds figures by row name and data set, ``remarks`` are notes about our rows."""
    ours = [
        row for label, sets in measured.items() for name, figures in sets.items() for row in _ours(label, name, figures)
    ]
    return TextTable(
        title="Judging from the image and from words alone; likeness to what people wrote",
        header=HEADER,
        names=4,
        rows=[*_others(), *ours],
        notes=[
            "PLCC is raw. Rows of views without the image are of the rating given again from the policy's own words.",
            "The published ROUGE-1 is most likely recall: recall and F1 of its baselines were recomputed.",
            "ROUGE-1 has no floor at 0: a hundred words that fit any photograph reach a recall near the published "
            "0.512, and four words a precision of 0.785; experiments/human has the texts.",
            "References of the embedded set are synthetic: nobody wrote them. A policy's text against the nearest one "
            "is to be compared with references among themselves, and beside its length.",
            *remarks,
            *_gaps(measured),
        ],
    )


def _others() -> Iterator[list[str]]:
    for row in rows_of("human_like"):
        rouge = [row[f"rouge1_{name}"] for name in (*_ROUGE, "unstated")]
        yield [*(row[name] for name in _COLUMNS), *rouge, ""]


def _ours(label: str, name: str, figures: Figures) -> Iterator[list[str]]:
    found = figures.get("rouge1", {})
    rouge = [_number(found.get(measure)) for measure in _ROUGE]
    length = f"{figures['words']:.1f}" if "words" in figures else ""
    yield [label, name, "image", MEASURED, _number(figures["plcc"]), _number(figures["srcc"]), *rouge, "", length]
    for probe, view in VIEWS.items():
        if f"srcc_{probe}" in figures:
            pair = [_number(figures[f"{metric}_{probe}"]) for metric in ("plcc", "srcc")]
            yield [label, name, view, MEASURED, *pair, *[""] * 5]
    for method, key in ((f"{label}, and the nearest text", "rouge1_best"), (CEILING, "rouge1_people")):
        if found := figures.get(key):
            yield [method, name, "", MEASURED, "", "", *(_number(found[measure]) for measure in _ROUGE), "", ""]


def _gaps(measured: Mapping[str, Mapping[str, Figures]]) -> Iterator[str]:
    """The gaps of our rows with their intervals, and how many answers had words to be asked about."""
    for label, sets in measured.items():
        for name, figures in sets.items():
            for probe, view in VIEWS.items():
                gap, interval = figures.get(f"srcc_gap_{probe}"), figures.get(f"srcc_gap_interval_{probe}")
                if isinstance(gap, float) and isinstance(interval, Mapping):
                    yield (
                        f"{label}, {name}, {view}: SRCC from the image minus from words {gap:+.3f} "
                        f"{ends_said(interval['low'], interval['high'], '+.3f')}; "
                        f"{figures[f'asked_{probe}']:.1%} of answers had words, and of the ratings from them "
                        f"{figures[f'valid_rate_{probe}']:.1%} can be read."
                    )


def _number(value: object) -> str:
    return "" if value is None else figure_cell(value)

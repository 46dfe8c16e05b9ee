"""The paper's Table 2 with our rows: grades of reasoning by a judge, by data set and criterion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import DataError
from zoom_iqa.reports.numbers import ends_said, grade_cell
from zoom_iqa.reports.published import PAPER, rows_of
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.tasks.grades import CRITERIA

FILE = "judged.json"
KEYS = ("judge_name", "benchmark", "systems")
"""Of the file, those that no table does without."""
OF_A_SYSTEM = ("images", "failures", "controls", "without_text")
NAMES = ("method", "data set", "judge", "origin")
Judged = Mapping[str, Any]


def read_judged(folder: Path) -> Judged:
    """The figures of a folder of ``zoom-iqa judge``.

    Raises:
        DataError: it holds none, or they are damaged.
    """
    path = folder / FILE
    try:
        found: Judged = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); name a folder of zoom-iqa judge") from error
    lacks = _lacking(found)
    if lacks:
        raise DataError(f"{path} is damaged (it has no {', '.join(lacks)}); the command that made it makes it again")
    return found


def _lacking(found: Any) -> list[str]:
    """What a table needs and the figures do not have."""
    lacks = [key for key in KEYS if not isinstance(found, Mapping) or key not in found]
    if lacks or not isinstance(found["systems"], Mapping):
        return lacks or ["systems by name"]
    for name, system in found["systems"].items():
        own = system if isinstance(system, Mapping) else {}
        criteria = own.get("criteria")
        lacks += [f"{key} of {name}" for key in OF_A_SYSTEM if key not in own]
        lacks += [f"{key} of {name}" for key in CRITERIA if not isinstance(criteria, Mapping) or key not in criteria]
    return lacks


def judged_table(judged: Sequence[Judged], *, paired: bool) -> TextTable:
    """Published rows, then ours; a note for each of ours says what failed and how much lower controls were graded.

    ``paired`` puts the interval of a grade into its cell, for people; else it has columns of its own.
    """
    ends = ("",) if paired else ("", ", low", ", high")
    return TextTable(
        title="Grades of reasoning, 1 to 9",
        header=(*NAMES, *(f"{name.capitalize()}{end}" for name in CRITERIA for end in ends)),
        names=len(NAMES),
        rows=[*_published(cells=len(ends)), *(row for one in judged for row in _ours(one, paired=paired))],
        notes=[
            "Published rows are of images, prompts, temperature and repeats that the paper does not give.",
            *(note for one in judged for note in _notes(one)),
        ],
    )


def _published(*, cells: int) -> Iterator[list[str]]:
    for row in rows_of("table2"):
        grades = [cell for name in CRITERIA for cell in (row[name], *[""] * (cells - 1))]
        yield [row["method"], row["dataset"], row["judge"], PAPER, *grades]


def _ours(judged: Judged, *, paired: bool) -> Iterator[list[str]]:
    for system, figures in judged["systems"].items():
        cells = (_grade(figures["criteria"][name]) for name in CRITERIA)
        grades = [_shown(*cell) for cell in cells] if paired else [one for cell in cells for one in cell]
        yield [system, judged["benchmark"], judged["judge_name"], MEASURED, *grades]


def _grade(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    """The mean grade and the ends of its interval; empty where there is none."""
    low, high = figures["interval"] or (None, None)
    return grade_cell(figures["mean"]), grade_cell(low), grade_cell(high)


def _shown(mean: str, low: str, high: str) -> str:
    return f"{mean} [{low}, {high}]" if low else mean or "none"


def _ungraded(figures: Mapping[str, Any]) -> str:
    """The judge's answers that have no grades, by reason."""
    failed = ", ".join(f"{reason} {count}" for reason, count in figures["failures"].items()) or "none"
    of = f" of {figures['answers']}" if "answers" in figures else ""  # folders of earlier versions hold no such number
    return f"answers{of} without grades: {failed}"


def _lower(drop: Mapping[str, Any]) -> str:
    interval = drop["interval"]
    return f"{drop['lower_by']:.2f}" + ("" if interval is None else f" {ends_said(interval[0], interval[1], '.2f')}")


def _unsure(system: str, control: str, drops: Mapping[str, Any]) -> Iterator[str]:
    """A note that names the criteria by which this judge does not tell a control from the system's own texts."""
    names = [name for name in CRITERIA if (drops[name]["interval"] or (drops[name]["lower_by"],))[0] <= 0]
    if names:
        yield f"{system}, control {control}: that it is lower is not shown for {', '.join(names)}."


def _notes(judged: Judged) -> Iterator[str]:
    for system, figures in judged["systems"].items():
        yield (
            f"{system}, graded by {judged['judge_name']}: {figures['images']} images; "
            f"{_ungraded(figures)}; {figures['without_text']} answers without a text were not asked about."
        )
        for control, drops in figures["controls"].items():
            lower = [f"{name} by {_lower(drops[name])}" for name in CRITERIA if drops[name]["lower_by"] is not None]
            if lower:
                yield f"{system}, control {control} ({drops['n']} images) is graded lower in {', '.join(lower)}."
                yield from _unsure(system, control, drops)
            if drops.get("failures"):
                yield f"{system}, control {control}: {_ungraded(drops)}."
    if judged.get("unanswered"):
        yield f"{judged['judge_name']}: {judged['unanswered']} questions got no usable answer and count nowhere."

"""An assessment as a card in the terminal. Texts of models show as text: markup and escape codes do nothing."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.printable import printable
from zoom_iqa.base.records import RecordedStep
from zoom_iqa.base.types import Region
from zoom_iqa.evaluation.assessment import Assessment, CloserLook, Outcome
from zoom_iqa.reports.numbers import rating_said

PLAIN_WIDTH = 100
FRAME = 6
"""Columns of a title's line that are not the title."""
TEXT_LIMIT = 2000
"""Characters of one answer that are shown."""
WORDS_LIMIT = 60
"""Characters that name a defect."""
STYLES = {"bad": "bold red", "poor": "red", "fair": "yellow", "good": "green", "excellent": "bold green"}


class Cards:
    """A card for each assessment: as wide as the terminal, or of one width where there is none."""

    def __init__(self, file: TextIO) -> None:
        console = Console(file=file)
        self._console = console if console.is_terminal else Console(file=file, width=PLAIN_WIDTH)

    def __enter__(self) -> Cards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to write."""

    def write(self, outcome: Outcome) -> None:
        """Print one; an image that could not be viewed has no card."""
        if isinstance(outcome, Assessment):
            self._console.print(card(outcome, width=self._console.width))


def card(assessment: Assessment, *, width: int) -> Panel:
    """The card: ratings and verdict, the last turn's paragraphs or the thoughts of all turns, the evidence, and each
    crop with what it changed. Of a source that is longer than ``width`` allows the end stays, which names the file.
    """
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column()
    rows.add_row("rating", _rating(assessment))
    if assessment.expected is not None:
        rows.add_row("expected", Text(_expected(assessment)))
    for label, text in _paragraphs(assessment):
        rows.add_row(Text(printable(label)), Text(printable(text, limit=TEXT_LIMIT)))
    for one in assessment.evidence or ():
        rows.add_row("evidence", Text(evidence_said(one)))
    for number, look in enumerate(assessment.looks, 1):
        rows.add_row(f"crop {number}", Text(look_said(look)))
    return Panel(
        rows,
        title=Text(_end_of(printable(assessment.source), room=width - FRAME)),
        title_align="left",
        subtitle=Text("{} x {}".format(*assessment.size)),
        subtitle_align="right",
    )


def _end_of(text: str, *, room: int) -> str:
    """As much of the end as there is room for, behind dots where something is missing."""
    if cell_len(text) <= room:
        return text
    kept = text
    while kept and cell_len(kept) > room - 3:
        kept = kept[1:]
    return f"...{kept}"


def look_said(look: CloserLook) -> str:
    """The place of a crop in hundredths of the image, and what it was for, or the ratings before and after it."""
    place = place_said(look)
    if look.sought is not None:
        return f"{place}: for {printable(look.sought, limit=WORDS_LIMIT)}"
    if look.before is None and look.after is None:
        return place
    if look.before is None or look.after is None:
        return f"{place}: {rating_said(look.before)} before, {rating_said(look.after)} after"
    change = round(look.after - look.before, 2)
    moved = f"raised by {change:.2f}" if change > 0 else f"lowered by {-change:.2f}" if change < 0 else "left"
    return f"{place}: {look.before:.2f} before, {look.after:.2f} after: {moved}"


def place_said(look: CloserLook) -> str:
    """The place of a crop in hundredths of the image."""
    return _place(look.region)


def evidence_said(evidence: Evidence) -> str:
    """A defect with its severity, and its place in hundredths of the image, or in pixels where it is given so."""
    named = f"{evidence.severity} {evidence.defect}".strip()
    said = printable(named, limit=WORDS_LIMIT)
    x1, y1, x2, y2 = evidence.bbox
    if all(0 <= edge <= 1 for edge in evidence.bbox):
        return f"{said}, {_place(evidence.bbox)}"
    return f"{said}, x {x1:g}-{x2:g}, y {y1:g}-{y2:g} pixels"


def _place(region: Region) -> str:
    x1, y1, x2, y2 = (round(100 * end) for end in region)
    return f"x {x1}-{x2} %, y {y1}-{y2} %"


def _rating(assessment: Assessment) -> Text:
    if assessment.rating is None or assessment.verdict is None:
        return Text(f"unreadable: {assessment.failure}", style="bold red")
    text = Text.assemble((f"{assessment.rating:.2f} {assessment.verdict}", STYLES[assessment.verdict]))
    count = len(assessment.records)
    if count > 1:
        readable = sum(record.rating is not None for record in assessment.records)
        text.append(f" (mean of {readable} answers{'' if readable == count else f', {count - readable} unreadable'})")
    return text


def _expected(assessment: Assessment) -> str:
    expected = assessment.expected
    assert expected is not None
    return f"{expected.mean:.2f}, spread {expected.std:.2f}"


def _paragraphs(assessment: Assessment) -> list[tuple[str, str]]:
    """Those of the last turn; where it has none, the thoughts of all turns."""
    found, steps = assessment.paragraphs[-1], assessment.shown.steps
    several = len(steps) > 1
    thoughts = [(f"turn {number}" if several else "text", _thought(step)) for number, step in enumerate(steps, 1)]
    return list(found.items()) or thoughts


def _thought(step: RecordedStep) -> str:
    """The thought that a well-formed turn begins with, as the card has all else in rows; another turn's whole text."""
    thought, closing, _ = step.text.strip().removeprefix("<think>").partition("</think>")
    begins = step.text.lstrip().startswith("<think>") and closing
    return thought.strip() if begins and step.reading.well_formed else step.text

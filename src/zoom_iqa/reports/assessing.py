"""Files -> assessments, written in one of several forms as they are made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from zoom_iqa.base.errors import ImageError, OutputError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.standard_output import StandardOutput
from zoom_iqa.evaluation.assessment import Assessment, Outcome, Unviewable
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.parallel.stopping import until_stopped
from zoom_iqa.reports.assessments import CsvRows, JsonLines, JsonList
from zoom_iqa.reports.cards import Cards
from zoom_iqa.reports.overlays import OverlayFolder


class Writer(Protocol):
    """Writes outcomes one after the other."""

    def write(self, outcome: Outcome) -> None:
        """Add one."""
        ...


FORMS: dict[str, Callable[..., AbstractContextManager[Writer]]] = {
    "cards": Cards,
    "json": JsonList,
    "jsonl": JsonLines,
    "csv": CsvRows,
}


def assess_files(files: Sequence[str], *, assessor: ImageAssessor, form: str, overlays: Path | None) -> int:
    """Assess ``files``, write each outcome to stdout in a form of ``FORMS``, and draw overlays into a folder.

    Returns how many have no rating, or lack the overlay that was asked for; each is reported on stderr with its reason.

    Raises:
        OutputError: an outcome cannot be written, or the folder takes no overlays.
        StoppedError: a signal asked to stop; what was done until then is written.
    """
    unrated = undrawn = 0
    output = StandardOutput()
    drawn = None if overlays is None else OverlayFolder(overlays, view=assessor.view)
    with ProgressLine("assess", total=len(files)) as progress, FORMS[form](output) as writer:
        for outcomes in until_stopped(assessor.batches(files)):
            with progress.aside():
                for outcome in outcomes:
                    writer.write(outcome)
                output.flush()
                unrated += _report_unrated(outcomes)
            if drawn is not None:
                undrawn += _draw(outcomes, drawn)
            progress.advance(len(outcomes))
    output.flush()
    if unrated:
        print(f"{unrated} of {len(files)} images have no rating", file=sys.stderr)
    if undrawn:
        print(f"{undrawn} of {len(files)} images have no overlay", file=sys.stderr)
    return unrated + undrawn


def _draw(outcomes: Sequence[Outcome], folder: OverlayFolder) -> int:
    """How many of those that were assessed could not be drawn: the rest goes on, as ratings do."""
    lacking = 0
    for outcome in outcomes:
        if not isinstance(outcome, Assessment):
            continue
        try:
            folder.write(outcome)
        except (ImageError, OutputError) as error:
            lacking += 1
            print(f"no overlay: {printable(str(error))}", file=sys.stderr)
    return lacking


def _report_unrated(outcomes: Sequence[Outcome]) -> int:
    reasons = [reason for outcome in outcomes if (reason := _reason(outcome)) is not None]
    for reason in reasons:
        print(f"no rating: {printable(reason)}", file=sys.stderr)
    return len(reasons)


def _reason(outcome: Outcome) -> str | None:
    if isinstance(outcome, Unviewable):
        return outcome.reason
    return None if outcome.rating is not None else f"{outcome.source}: no answer could be read ({outcome.failure})"

"""Sentences that name defects -> the edits of the embedded restorer that repair them, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoom_iqa.base.types import Region
from zoom_iqa.tasks.tools.restore import EDITS

# A sentence gets the edits of every row that it matches.
_NAMED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"speck|impulse|salt.and.pepper|dead pixel", ("despeckle",)),
    (r"nois|grain", ("denoise",)),
    (r"block|compress|jpeg|mosquito|ringing|artifact|artefact", ("deblock",)),
    (r"pixelat|jagged|stair|aliasing|low.resolution", ("smooth_edges",)),
    (r"posteri|banding|flat patches|bands\b", ("smooth_gradients",)),
    (r"blur|defocus|out.of.focus|\bsoft\b|unsharp|not sharp|smear|oil.paint|fuzzy|hazy", ("deblur", "sharpen")),
    (r"halo|oversharpen|over.sharpen", ("soften",)),
    (r"underexpos|too dark|\bdark|dim\b|murky|crushed", ("brighten",)),
    (r"overexpos|blown|too bright|washed.out highlights|glare|clipped highlights", ("darken",)),
    (r"contrast|flat light|\bflat tones", ("contrast",)),
    (r"faded|washed.out colo|greyish|grayish|dull|desaturat|pale colo", ("saturate",)),
    (r"garish|oversaturat|over.saturat|unnaturally vivid", ("desaturate",)),
    (r"cast\b|tint|white balance|shifted tone|off balance", ("balance",)),
    (r"fringe|bleeding|colou?r noise|chroma", ("clean_colour",)),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), edits) for pattern, edits in _NAMED)

_PLACE = re.compile(
    r"\b(?:(?P<row>upper|top|lower|bottom)(?:[ -](?P<side>left|right|centre|center|corner|edge|half|part))?"
    r"|(?P<alone>left|right)(?: (?:side|half|edge|part))?"
    r"|(?P<middle>(?:middle|mid)?[ -]?(?:centre|center)|middle)(?:[ -](?P<flank>left|right))?)\b",
    re.IGNORECASE,
)
_THIRD = (0.0, 0.4), (0.3, 0.7), (0.6, 1.0)
_WHOLE = (0.0, 1.0)
_ROWS = {"upper": _THIRD[0], "top": _THIRD[0], "lower": _THIRD[2], "bottom": _THIRD[2]}
_COLUMNS = {"left": _THIRD[0], "right": _THIRD[2], "centre": _THIRD[1], "center": _THIRD[1]}


@dataclass(frozen=True)
class Repair:
    """An edit of ``EDITS`` in a region, or all over the image."""

    edit: str
    region: Region | None

    @property
    def name(self) -> str:
        """The edit, and its region in hundredths."""
        if self.region is None:
            return self.edit
        x1, y1, x2, y2 = (round(100 * end) for end in self.region)
        return f"{self.edit} at x {x1}-{x2} %, y {y1}-{y2} %"


@dataclass(frozen=True)
class Repairs:
    """The repairs of sentences in the order in which they are applied, and the sentences that have none."""

    repairs: tuple[Repair, ...]
    without: tuple[str, ...]


def repairs_for(issues: Sequence[str], *, placing: Iterable[str] = ()) -> Repairs:
    """The repairs of sentences that name defects.

    A defect is repaired where its sentence says it is, or a sentence of ``placing`` that names it too; else all over.
    """
    others = list(placing)
    found: dict[Repair, None] = {}
    without = []
    for issue in issues:
        edits = [edit for pattern, edits in _PATTERNS if pattern.search(issue) for edit in edits]
        if not edits:
            without.append(issue)
        for edit in dict.fromkeys(edits):
            naming = [issue, *(other for other in others if edit in _edits(other))]
            regions = [region for region in map(region_named, naming) if region is not None]
            found.setdefault(Repair(edit, regions[0] if regions else None))
    whole = {repair.edit for repair in found if repair.region is None}
    kept = [repair for repair in found if repair.region is None or repair.edit not in whole]
    order = list(EDITS)
    return Repairs(tuple(sorted(kept, key=lambda repair: order.index(repair.edit))), tuple(without))


def region_named(sentence: str) -> Region | None:
    """The part of the image that a sentence names by its place in the frame, in overlapping thirds; or None."""
    match = _PLACE.search(sentence)
    if match is None:
        return None
    row, side = (match["row"] or "").lower(), (match["side"] or match["flank"] or match["alone"] or "").lower()
    middle = _THIRD[1] if match["middle"] else _WHOLE
    xs, ys = _COLUMNS.get(side, middle), _ROWS.get(row, middle)
    return xs[0], ys[0], xs[1], ys[1]


def _edits(sentence: str) -> set[str]:
    return {edit for pattern, edits in _PATTERNS if pattern.search(sentence) for edit in edits}

"""Sentences that name defects -> the edits of the embedded restorer that repair them, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoom_iqa.base.denial import is_denied
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
    (r"\bcasts?\b|tint|white balance|shifted tone|off balance", ("balance",)),
    (r"fringe|bleeding|colou?r noise|chroma", ("clean_colour",)),
)
_OF_LACK = ("contrast",)
"""Edits of what a picture should have."""
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), edits) for pattern, edits in _NAMED)

# "not right", "is left", "on top of that", "lower contrast" and "middle tones" name no place.
_WORD = r"(?:side|half|halves|edge|part|third|quarter|corner|border|margin|area|region)s?"
_PLACE = re.compile(
    r"\b(?:(?P<row>(?<!on )top(?! of (?:that|this|it|all)\b)|bottom"
    rf"|(?:upper|lower)(?=[ -](?:left|right|centre|center|middle|{_WORD})\b))"
    rf"(?:[ -](?P<side>left|right|centre|center|{_WORD}))?"
    rf"|(?P<alone>left|right)(?=(?: (?:and|or) (?:the )?(?:left|right))?(?:[ -]hand)? {_WORD}\b)"
    r"|(?:on|in|at|to|towards?|near|along|from) (?:the )?(?:far )?(?P<beside>left|right)"
    r"|(?P<middle>(?:middle|mid)?[ -]?(?:centre|center)|middle(?! (?:tone|gr[ae]y|ground)))"
    r"(?:[ -](?P<flank>left|right))?)\b",
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
        edits = _edits(issue)
        if not edits:
            without.append(issue)
        for edit in edits:
            naming = [issue, *(other for other in others if edit in _edits(other))]
            regions: tuple[Region | None, ...] = next(filter(None, map(regions_named, naming)), (None,))
            found.update(dict.fromkeys(Repair(edit, region) for region in regions))
    whole = {repair.edit for repair in found if repair.region is None}
    kept = [repair for repair in found if repair.region is None or repair.edit not in whole]
    order = list(EDITS)
    return Repairs(tuple(sorted(kept, key=lambda repair: order.index(repair.edit))), tuple(without))


def regions_named(sentence: str) -> tuple[Region, ...]:
    """The parts of the image that a sentence names by their places in the frame, in overlapping thirds, each once."""
    return tuple(dict.fromkeys(map(_region, _PLACE.finditer(sentence))))


def _region(match: re.Match[str]) -> Region:
    row = (match["row"] or "").lower()
    side = (match["side"] or match["flank"] or match["alone"] or match["beside"] or "").lower()
    middle = _THIRD[1] if match["middle"] else _WHOLE
    xs, ys = _COLUMNS.get(side, middle), _ROWS.get(row, middle)
    return xs[0], ys[0], xs[1], ys[1]


def _edits(sentence: str) -> list[str]:
    """Each edit that a defect asks for which the sentence names and does not deny; no contrast is a defect."""
    named = (
        edits
        for pattern, edits in _PATTERNS
        for found in pattern.finditer(sentence)
        if edits == _OF_LACK or not is_denied(sentence, start=found.start(), end=found.end())
    )
    return list(dict.fromkeys(edit for edits in named for edit in edits))

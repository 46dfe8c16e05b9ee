"""Assess, edit, assess again: the image judged best of all that were made, never one judged worse than the input.

After Perceptual-in-Generation of Q-DeepSight (arXiv 2604.16858), of which the abstract is public: the mechanics are
this project's own. An image counts by its expected rating.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from PIL.Image import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.evaluation.assessment import Assessment, Expected, Outcome, Unviewable
from zoom_iqa.evaluation.guiding import repairs_of
from zoom_iqa.tasks.tools.repairs import Repair
from zoom_iqa.tasks.tools.restore import edited

Judge = Callable[[Sequence[Image]], Sequence[Outcome]]
"""Assesses images in their order."""
Saved = Callable[[Image], Image]
"""An image as its file will show it: formats that lose something change its rating, too."""


@dataclass(frozen=True)
class Edited:
    """An image and the edits that made it."""

    name: str
    image: Image


class Editor(Protocol):
    """Makes images that may be better out of one and what was said of it."""

    def edits(self, image: Image, assessment: Assessment) -> Sequence[Edited]:
        """The candidates; none if the assessment names nothing that this editor can do something about."""
        ...


class EmbeddedRestorer:
    """Repairs the issues that an assessment names: all one after the other and, if ``alone``, each by itself."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone

    def edits(self, image: Image, assessment: Assessment) -> list[Edited]:
        """The candidates, all of them together last."""
        repairs = repairs_of(assessment).repairs
        chosen = [[repair] for repair in repairs] if self._alone or len(repairs) == 1 else []
        if len(repairs) > 1:
            chosen.append(list(repairs))
        return [Edited(" + ".join(repair.name for repair in some), repaired(image, some)) for some in chosen]


@dataclass(frozen=True, kw_only=True)
class Round:
    """The candidates of one turn by name, each with its expected rating or None.

    ``kept`` is the best of them, if it gained by the second reading too, which is ``read``.
    """

    tried: tuple[tuple[str, float | None], ...]
    kept: str | None
    read: float | None


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """The input and the image judged best, each with its assessment and its second reading, and how it came about."""

    start: Assessment
    best: Assessment
    start_read: Expected
    best_read: Expected
    image: Image
    rounds: tuple[Round, ...]

    @property
    def gain(self) -> float:
        """How much the expected rating has risen, by the second reading; 0 where the input is returned."""
        return self.best_read.mean - self.start_read.mean

    @property
    def kept(self) -> bool:
        """Whether any edit was."""
        return any(turn.kept for turn in self.rounds)


def as_it_is(image: Image) -> Image:
    """What a format that loses nothing shows."""
    return image


def refine(
    image: Image,
    start: Assessment,
    *,
    judge: Judge,
    reader: Judge,
    editor: Editor,
    turns: int,
    least_gain: float,
    saved: Saved = as_it_is,
) -> Refinement:
    """Take the best of the editor's candidates as long as it gains at least ``least_gain``, at most ``turns`` times.

    ``judge`` chooses, and its assessments tell the editor what to do; ``start`` is that of ``image``. The best of many
    owes some of its rating to the luck of the answers, so ``reader``, whose answers are drawn anew, must find the gain
    too. Both look at a candidate as it is ``saved``; edits go on from its pixels before that. With a ``least_gain``
    above 0 the result is never judged worse than the input by either.

    Raises:
        ImageError: no rating of the image could be read, so that nothing could be called better.
    """
    (again,) = reader([image])
    start_read = _expected(again)
    if start.expected is None or start_read is None:
        asked, unread = ("", start) if start.expected is None else (" when it was asked again", again)
        raise ImageError(
            f"{start.source}: no answer could be read{asked} ({_why(unread)}), so nothing can be called better; ask "
            "for more answers (--samples)"
        )
    best, best_read, rounds = start, start_read, []
    for _ in range(turns):
        candidates = editor.edits(image, best)
        if not candidates:
            break
        outcomes = judge([saved(candidate.image) for candidate in candidates])
        tried = tuple((one.name, _mean(made)) for one, made in zip(candidates, outcomes, strict=True))
        winner = _best(candidates, outcomes)
        if winner is None or not _gains(winner[1], best, least_gain):
            rounds.append(Round(tried=tried, kept=None, read=None))
            break
        (outcome,) = reader([saved(winner[0].image)])
        read = _expected(outcome)
        if read is None or read.mean - best_read.mean < least_gain:
            rounds.append(Round(tried=tried, kept=None, read=None if read is None else read.mean))
            break
        image, best, best_read = winner[0].image, replace(winner[1], source=start.source), read
        rounds.append(Round(tried=tried, kept=winner[0].name, read=read.mean))
    return Refinement(
        start=start, best=best, start_read=start_read, best_read=best_read, image=image, rounds=tuple(rounds)
    )


def repaired(image: Image, repairs: Sequence[Repair]) -> Image:
    """The image after all repairs in their order."""
    for repair in repairs:
        image = edited(image, repair.edit, repair.region)
    return image


def _best(candidates: Sequence[Edited], outcomes: Sequence[Outcome]) -> tuple[Edited, Assessment] | None:
    """The candidate of the highest expected rating, or None if none has any."""
    pairs = zip(candidates, outcomes, strict=True)
    rated = [(one, made) for one, made in pairs if isinstance(made, Assessment) and _mean(made) is not None]
    return max(rated, key=lambda pair: _mean(pair[1]) or 0.0, default=None)


def _expected(outcome: Outcome) -> Expected | None:
    return outcome.expected if isinstance(outcome, Assessment) else None


def _why(unread: Outcome) -> str:
    if isinstance(unread, Unviewable):
        return unread.reason
    return unread.failure or "the digits of its rating give no expectation"


def _gains(outcome: Assessment, best: Assessment, least_gain: float) -> bool:
    before, after = _mean(best), _mean(outcome)
    return before is not None and after is not None and after - before >= least_gain


def _mean(outcome: Outcome) -> float | None:
    expected = _expected(outcome)
    return None if expected is None else expected.mean

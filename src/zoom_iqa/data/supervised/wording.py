"""How the four sections of a thought are put into words, at length for large policies and tersely for tiny ones.

Directions use positive words only and never name a defect; issues name defects only. Both are about a region, and the
decision gives the rating.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zoom_iqa.base.defects import Defect
from zoom_iqa.tasks.verdict import word_for

Clauses = tuple[str, str, str, str]
"""Summary, directions, issues, decision."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a thought: ``guess`` is the first score of a trajectory that crops, ``rating`` the true one.

    ``severity`` is one word, ``place`` where the defect is or where the crop looks.
    """

    defect: Defect
    pristine: bool
    severity: str
    place: str
    guess: str
    rating: str


class Wording(Protocol):
    """The three thoughts there are; ``decimals`` is the precision of box coordinates that goes with them."""

    decimals: int

    def final(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that needs no closer look."""

    def doubt(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that asks for a crop."""

    def settled(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 2."""


class TerseWording:
    """Single clauses in few words: a policy of a few million parameters writes them on a CPU."""

    decimals = 1

    def final(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that needs no closer look."""
        decision = _pick((f"score {facts.rating}, no crop", f"clear, score {facts.rating}"), rng)
        return (*self._seen(facts), decision)

    def doubt(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that asks for a crop."""
        suspected = "hidden defects" if facts.pristine else facts.defect.noun
        return (
            f"maybe {suspected}",
            f"{facts.defect.ideal}, {facts.place}",
            f"{suspected}, {facts.place}",
            f"score {facts.guess}, crop {facts.place}",
        )

    def settled(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 2."""
        return (*self._seen(facts), f"{_move(facts)}, score {facts.rating}")

    def _seen(self, facts: Facts) -> tuple[str, str, str]:
        summary = facts.defect.noun if facts.pristine else f"{facts.severity} {facts.defect.noun}"
        found = "nothing" if facts.pristine else facts.defect.noun
        return summary, f"{facts.defect.ideal}, {facts.place}", f"{found}, {facts.place}"


class FullWording:
    """Sentences as a pretrained vision-language model writes them."""

    decimals = 2

    def final(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that needs no closer look."""
        verdict = word_for(float(facts.rating))
        if facts.pristine:
            summary = _pick(
                (
                    f"Focus, exposure and colour hold up everywhere. The quality is {verdict}.",
                    f"The image shows {facts.defect.phrase} in any region. Overall its quality is {verdict}.",
                ),
                rng,
            )
        else:
            summary = _pick(
                (
                    f"The image shows {facts.severity} {facts.defect.noun}: {facts.defect.phrase} all over the frame. "
                    f"The quality is {verdict}.",
                    f"What stands out, {facts.severity} and everywhere, is this: {facts.defect.phrase}. "
                    f"Overall the quality is {verdict}.",
                    f"Every region has {facts.severity} {facts.defect.noun}. The verdict is {verdict}.",
                ),
                rng,
            )
        decision = _pick(
            (
                f"The rating is {facts.rating}. The whole frame tells the same, so no crop is needed.",
                f"I rate it {facts.rating} and need no closer look: what matters is visible at this size.",
                f"A crop would add nothing here; the score is {facts.rating}.",
            ),
            rng,
        )
        return (
            summary,
            _directions(facts, "the subject and the background", rng),
            _issues(facts, "frame", rng),
            decision,
        )

    def doubt(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 1 that asks for a crop."""
        verdict = word_for(float(facts.guess))
        summary = _pick(
            (
                f"At this size the image looks {verdict}, but the {facts.place} is hard to judge.",
                f"Most of the frame seems {verdict}. Something in the {facts.place} stays uncertain.",
            ),
            rng,
        )
        suspicion = "a hidden defect" if facts.pristine else facts.defect.noun
        issues = _pick(
            (
                f"There may be {suspicion} in the {facts.place}.",
                f"Possibly {suspicion}, most likely in the {facts.place}.",
            ),
            rng,
        )
        decision = _pick(
            (
                f"The first rating is {facts.guess}. A crop of the {facts.place} shows whether there is {suspicion}.",
                f"I start from {facts.guess} and crop the {facts.place}, because {suspicion} would change the score.",
            ),
            rng,
        )
        return summary, _directions(facts, f"the {facts.place}", rng), issues, decision

    def settled(self, facts: Facts, rng: np.random.Generator) -> Clauses:
        """Turn 2."""
        verdict = word_for(float(facts.rating))
        found = facts.defect.phrase if facts.pristine else f"{facts.severity} {facts.defect.noun}"
        summary = _pick(
            (
                f"The crop of the {facts.place} shows {found}. The quality is {verdict}.",
                f"Seen closely, the {facts.place} has {found}. The final verdict is {verdict}.",
            ),
            rng,
        )
        reason = _pick(
            (
                f"The first rating was {facts.guess}, given in doubt about the {facts.place}.",
                f"I had {facts.guess} before looking closer at the {facts.place}.",
            ),
            rng,
        )
        decision = f"{reason} With {found} seen there, the score is {_move(facts)}: {facts.rating}."
        return summary, _directions(facts, f"the {facts.place}", rng), _issues(facts, facts.place, rng), decision


def _directions(facts: Facts, where: str, rng: np.random.Generator) -> str:
    return _pick(
        (
            f"The ideal image has {facts.defect.ideal} in {where}.",
            f"{_sentence(facts.defect.ideal)} across {where} would make it complete.",
            f"Picture {where} with {facts.defect.ideal}.",
        ),
        rng,
    )


def _issues(facts: Facts, where: str, rng: np.random.Generator) -> str:
    if facts.pristine:
        return _pick((f"No defect stands out in the {where}.", f"Nothing disturbs the {where}."), rng)
    return _pick(
        (
            f"{_sentence(facts.defect.phrase)} in the {where}.",
            f"The {where} suffers from {facts.severity} {facts.defect.noun}.",
            f"The {where} is spoiled by {facts.defect.noun}.",
        ),
        rng,
    )


def _move(facts: Facts) -> str:
    if facts.rating == facts.guess:
        return "kept"
    return "raised" if float(facts.rating) > float(facts.guess) else "lowered"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]

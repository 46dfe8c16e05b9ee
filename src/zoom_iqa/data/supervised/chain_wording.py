"""How the thoughts of a chain are put into words, at length for large policies and tersely for tiny ones.

The words are ours: of Q-DeepSight (arXiv 2604.16858), whose kind chains are, only the abstract is public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zoom_iqa.base.defects import Defect

HIDDEN = "hidden defects"
"""The defect looked for where nothing is known to be wrong."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The finding of a look at a place: the defect, or that there is none."""

    place: str
    defect: Defect | None
    severity: str


class ChainWording(Protocol):
    """The thoughts there are. ``decimals`` is the precision of box coordinates that goes with them, ``evidence_first``
    says that answers give the evidence before the rating.
    """

    decimals: int
    evidence_first: bool

    def look(self, seen: Sequence[Finding], suspected: str, places: Sequence[str], rng: np.random.Generator) -> str:
        """A turn that asks for closer looks at ``places``, after what was ``seen`` in the turn before."""

    def verdict(
        self, seen: Sequence[Finding], defect: Defect, severity: str, place: str | None, rng: np.random.Generator
    ) -> str:
        """The turn that answers; ``place`` None is all over the image."""


class TerseChain:
    """Clauses of places alone: a policy of a few million parameters writes them on a CPU.

    A defect and its severity are named in calls and evidence only. Named in the thought, too, they would have to be
    copied, which so small a policy learns late. For the same reason evidence comes before the rating that rests on it.
    """

    decimals = 1
    evidence_first = True

    def look(self, seen: Sequence[Finding], suspected: str, places: Sequence[str], rng: np.random.Generator) -> str:
        """Such as "nothing upper left, maybe lower right"."""
        return ", ".join([*map(self._seen, seen), f"maybe {' or '.join(places)}"])

    def verdict(
        self, seen: Sequence[Finding], defect: Defect, severity: str, place: str | None, rng: np.random.Generator
    ) -> str:
        """Such as "nothing upper left, damage lower right"; all over the image "damage everywhere"."""
        whole = defect.noun if defect.family == "none" else f"damage {place or 'everywhere'}"
        nothing = [self._seen(finding) for finding in seen if finding.defect is None]
        return ", ".join([*nothing, whole])

    def _seen(self, finding: Finding) -> str:
        return f"{'nothing' if finding.defect is None else 'damage'} {finding.place}"


class FullChain:
    """Sentences as a pretrained vision-language model writes them."""

    decimals = 2
    evidence_first = False

    def look(self, seen: Sequence[Finding], suspected: str, places: Sequence[str], rng: np.random.Generator) -> str:
        """The finding, then the suspicion and where it is to be settled."""
        where = " and the ".join(places)
        ask = _pick(
            (
                f"There may be {suspected} in the {where}, which this size does not settle. I look closer there.",
                f"I suspect {suspected} and want to see the {where} enlarged.",
                f"Whether there is {suspected} decides the score, so I look at the {where} next.",
            ),
            rng,
        )
        return " ".join([*(self._seen(finding, rng) for finding in seen), ask])

    def verdict(
        self, seen: Sequence[Finding], defect: Defect, severity: str, place: str | None, rng: np.random.Generator
    ) -> str:
        """The finding, then what it amounts to."""
        if defect.family == "none":
            whole = _pick(
                (
                    "Focus, exposure and colour hold up everywhere, and nothing speaks against a high score.",
                    "No defect is left to suspect.",
                ),
                rng,
            )
        elif place is None:
            whole = _pick(
                (
                    f"The whole frame shows {severity} {defect.noun}: {defect.phrase}.",
                    f"Everywhere there is {severity} {defect.noun}, which sets the score.",
                ),
                rng,
            )
        else:
            whole = _pick(
                (
                    f"The defect is {severity} {defect.noun} in the {place}, and the rest of the frame is sound.",
                    f"What lowers the score is {severity} {defect.noun}, and it stays within the {place}.",
                ),
                rng,
            )
        return " ".join([*(self._seen(finding, rng) for finding in seen), whole])

    def _seen(self, finding: Finding, rng: np.random.Generator) -> str:
        if finding.defect is None:
            return _pick(
                (
                    f"The {finding.place} is sound when enlarged.",
                    f"Seen closely, nothing is wrong in the {finding.place}.",
                ),
                rng,
            )
        return _pick(
            (
                f"The {finding.place} shows {finding.severity} {finding.defect.noun} when enlarged.",
                f"Seen closely, the {finding.place} has {finding.defect.phrase}.",
            ),
            rng,
        )


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]

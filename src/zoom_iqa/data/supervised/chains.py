"""Writes the chain of a good trajectory from a distortion, a severity, a region and a score that are known.

First impression, suspicion, one to three closer looks of which some find nothing, then the verdict with its evidence.
The form is ours, after the abstract of Q-DeepSight (arXiv 2604.16858). Images without a defect, and such with one all
over, get looks too: a policy that looked at damage alone would learn that looking means damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.defects import Defect
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative, require_share
from zoom_iqa.base.regions import WHOLE, coverage
from zoom_iqa.base.types import Region, Truth
from zoom_iqa.data.supervised.boxes import place_of, shown_as, widened, written
from zoom_iqa.data.supervised.chain_wording import HIDDEN, ChainWording, Finding, FullChain, TerseChain
from zoom_iqa.data.supervised.rationales import defect_of, severity_of
from zoom_iqa.data.supervised.two_turns import written_rating
from zoom_iqa.tasks.chain import ChainPrompts

MOST_LOOKS = 3
ELSEWHERE = 0.15
"""A look misses a region if it shows at most this share of it."""
_SIDES = (0.3, 0.6)  # of looks that are not about a region, as fractions of the image's sides
_DRAWS = 16


@dataclass(frozen=True)
class Chain:
    """The texts of one trajectory in order."""

    texts: tuple[str, ...]


class ChainWriter:
    """Writes chains for one prompt set; a terse set gets single clauses and coordinates of one decimal.

    A defect in one region is always looked for, and each look finds it with ``hit_rate``, the third at the latest.
    ``doubt_level``: a defect up to this level, or none, leaves doubt and gets looks with ``doubt_look_rate`` in [0, 1],
    a clear defect all over the image with ``clear_look_rate``. ``pair_rate``: how often two looks share a turn.
    ``box_jitter``: the largest outward shift of a box's edges, as a fraction of the image's sides. ``max_turns`` and
    ``max_crops`` are the task's limits, within which the longest chain must stay.

    Raises:
        ConfigError: a number is out of range, or a limit of the task too low.
    """

    def __init__(
        self,
        *,
        prompts: ChainPrompts,
        hit_rate: float,
        doubt_level: float,
        doubt_look_rate: float,
        clear_look_rate: float,
        pair_rate: float,
        box_jitter: float,
        max_turns: int,
        max_crops: int,
    ) -> None:
        for limit, most, least in (("max_turns", max_turns, MOST_LOOKS + 1), ("max_crops", max_crops, MOST_LOOKS)):
            if most < least:
                raise ConfigError(
                    f"task.{limit}={most} is below {least}, which the chains that SFT learns take; raise it, or leave "
                    "SFT out: stages=[grpo]"
                )
        for name, value in (
            ("hit_rate", hit_rate),
            ("doubt_look_rate", doubt_look_rate),
            ("clear_look_rate", clear_look_rate),
            ("pair_rate", pair_rate),
            ("box_jitter", box_jitter),
        ):
            require_share(f"data.trajectories.writer.{name}", value)
        require_not_negative("data.trajectories.writer.doubt_level", doubt_level)
        self._wording: ChainWording = TerseChain() if prompts.terse else FullChain()
        self._hit_rate, self._pair_rate, self._box_jitter = hit_rate, pair_rate, box_jitter
        self._doubt_level = doubt_level
        self._doubt_look_rate, self._clear_look_rate = doubt_look_rate, clear_look_rate

    def write(self, truth: Truth, mos: float, rng: np.random.Generator) -> Chain:
        """One chain about an image of score ``mos`` (1-5); equal truths and generator states give equal texts.

        Raises:
            DataError: ``truth.distortion`` has no words in ``DEFECTS``.
        """
        defect, severity = defect_of(truth.distortion), severity_of(truth)
        suspected = HIDDEN if truth.distortion is None else defect.noun
        texts: list[str] = []
        seen: list[Finding] = []
        for boxes in self._turns(self._looks(truth, rng), rng):
            thought = self._wording.look(seen, suspected, [place_of(box) for box in boxes], rng)
            texts.append(f"<think>{thought}</think>{''.join(self._call(box, suspected) for box in boxes)}")
            seen = [_finding(box, truth, defect, severity) for box in boxes]
        place = None if truth.region is None else place_of(truth.region)
        thought = self._wording.verdict(seen, defect, severity, place, rng)
        texts.append(f"<think>{thought}</think>{self._answer(truth, defect, severity, mos)}")
        return Chain(tuple(texts))

    def _looks(self, truth: Truth, rng: np.random.Generator) -> list[Region]:
        """The places to look at, in order; a look that shows the region is the last."""
        if truth.region is None:
            doubtful = truth.distortion is None or truth.level <= self._doubt_level
            if rng.random() >= (self._doubt_look_rate if doubtful else self._clear_look_rate):
                return []
            most = MOST_LOOKS if doubtful else 1
            return [self._written(_anywhere(rng)) for _ in range(int(rng.integers(1, most + 1)))]
        region, looks = truth.region, list[Region]()
        while len(looks) < MOST_LOOKS - 1 and rng.random() >= self._hit_rate:
            elsewhere = min((_anywhere(rng) for _ in range(_DRAWS)), key=lambda box: coverage(region, [box]))
            box = self._written(elsewhere)
            if coverage(region, [box]) > ELSEWHERE:
                break  # a large region leaves no room beside it
            looks.append(box)
        return [*looks, self._written(widened(region, by=self._box_jitter, rng=rng))]

    def _turns(self, looks: Sequence[Region], rng: np.random.Generator) -> list[list[Region]]:
        """Looks by turn: each has its own, or shares that of the one before."""
        turns: list[list[Region]] = []
        for box in looks:
            if turns and len(turns[-1]) == 1 and rng.random() < self._pair_rate:
                turns[-1].append(box)
            else:
                turns.append([box])
        return turns

    def _written(self, region: Region) -> Region:
        return written(region, decimals=self._wording.decimals)

    def _call(self, box: Region, suspected: str) -> str:
        edges = shown_as(box, decimals=self._wording.decimals)
        return f'<zoom>{{"bbox_2d": [{edges}], "look_for": "{suspected}"}}</zoom>'

    def _answer(self, truth: Truth, defect: Defect, severity: str, mos: float) -> str:
        evidence = ""
        if truth.distortion is not None:
            edges = shown_as(self._written(truth.region or WHOLE), decimals=self._wording.decimals)
            evidence = f'{{"bbox_2d": [{edges}], "defect": "{defect.noun}", "severity": "{severity}"}}'
        fields = [f'"rating": {written_rating(mos)}', f'"evidence": [{evidence}]']
        if self._wording.evidence_first:
            fields.reverse()
        return f"<answer>{{{', '.join(fields)}}}</answer>"


def _finding(box: Region, truth: Truth, defect: Defect, severity: str) -> Finding:
    """The defect that a look shows: one all over is seen everywhere, one in a region where enough of it is shown."""
    there = truth.distortion is not None and (truth.region is None or coverage(truth.region, [box]) > ELSEWHERE)
    return Finding(place=place_of(box), defect=defect if there else None, severity=severity)


def _anywhere(rng: np.random.Generator) -> Region:
    width, height = rng.uniform(*_SIDES, size=2)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return float(x), float(y), float(x + width), float(y + height)

"""Writes what a good answer of task=compare says of two images whose defects and scores are known.

Each image is described and scored, then the scores decide: so a policy that knows ratings has a way to a preference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from zoom_iqa.base.targets import Choice, Preference
from zoom_iqa.base.types import Example, Truth
from zoom_iqa.data.embedded.pairs import EmbeddedPairs
from zoom_iqa.data.supervised.boxes import place_of
from zoom_iqa.data.supervised.rationales import defect_of, severity_of
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.data.supervised.two_turns import written_rating
from zoom_iqa.tasks.compare import ComparePrompts
from zoom_iqa.tasks.task import Task, check_examples


@dataclass(frozen=True, kw_only=True)
class Described:
    """One of the two images: its defect and its score on 1-5."""

    truth: Truth
    mos: float


class ComparisonWriter:
    """Writes thoughts and answers for one prompt set; a terse set gets single clauses."""

    def __init__(self, *, prompts: ComparePrompts) -> None:
        self._terse = prompts.terse

    def write(self, first: Described, second: Described, choice: Choice, rng: np.random.Generator) -> str:
        """The answer; equal images and generator states give equal texts.

        Raises:
            DataError: a distortion has no words.
        """
        thought = _terse(first, second) if self._terse else _full(first, second, choice, rng)
        return f"<think>{thought}</think><answer>{choice}</answer>"


class WrittenComparisons(Dataset[Trajectory]):
    """A trajectory of ``task`` for each pair of an embedded set; what is drawn follows from (seed, index).

    Raises:
        DataError: the task asks about something else than pairs.
    """

    def __init__(self, *, pairs: EmbeddedPairs, writer: ComparisonWriter, task: Task, seed: int) -> None:
        check_examples(task, pairs.items())
        self._pairs, self._writer, self._task, self._seed = pairs, writer, task, seed

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> Sequence[Example]:
        """The labels of all pairs in order."""
        return self._pairs.items()

    def __getitem__(self, index: int) -> Trajectory:
        sample, truths = self._pairs.made(index)
        first, second = (
            Described(truth=truth, mos=mos) for truth, mos in zip(truths, self._pairs.scores(index), strict=True)
        )
        assert isinstance(sample.example.target, Preference), "pairs have a preference"
        rng = np.random.default_rng((self._seed, index))
        text = self._writer.write(first, second, sample.example.target.choice, rng)
        return Trajectory(sample.example, supervised_turns(self._task.rehearse(sample, rng), (text,)))


def _terse(first: Described, second: Described) -> str:
    return " ".join(f"{name}: {_clause(image)}, {written_rating(image.mos)}." for name, image in _named(first, second))


def _full(first: Described, second: Described, choice: Choice, rng: np.random.Generator) -> str:
    seen = " ".join(
        f"Image {name} {_pick(('shows', 'has'), rng)} {_clause(image)} and would be rated about "
        f"{written_rating(image.mos)}."
        for name, image in _named(first, second)
    )
    if choice == "Similar":
        verdict = _pick(("Neither is clearly better.", "The two are about as good."), rng)
    else:
        verdict = _pick((f"{choice} is the better one.", f"So {choice} is preferred."), rng)
    return f"{seen} {verdict}"


def _named(first: Described, second: Described) -> tuple[tuple[str, Described], tuple[str, Described]]:
    return ("A", first), ("B", second)


def _clause(image: Described) -> str:
    """The defect with its severity, and its place where it has one."""
    defect = defect_of(image.truth.distortion)
    if image.truth.distortion is None:
        return defect.noun
    place = "" if image.truth.region is None else f" {place_of(image.truth.region)}"
    return f"{severity_of(image.truth)} {defect.noun}{place}"


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]

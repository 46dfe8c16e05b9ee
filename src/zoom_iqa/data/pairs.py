"""Pairs of images of one content as examples of a comparison: the image people prefer, and the order shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from zoom_iqa.base.equality import EQUAL_MOS
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative, require_share
from zoom_iqa.base.targets import MIRRORED, Choice, Preference
from zoom_iqa.base.types import Example, ImageRef

Orders = Literal["both", "drawn"]
"""Both orders of each pair, a question each; or one that follows from a seed."""


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """How scores become preferences: similar within ``band``, and which share of all pairs is to be ``similar``.

    Raises:
        ConfigError: a number is out of range.
    """

    band: float
    similar: float

    def __post_init__(self) -> None:
        require_not_negative("rule.band", self.band)
        require_share("rule.similar", self.similar)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images of one content and which of them people prefer, "Image A" being the first; see ``Preference``."""

    first: Example
    second: Example
    choice: Choice
    kind: str | None = None

    def example(self, *, dataset: str, swapped: bool, reference: ImageRef | None = None) -> Example:
        """The question about the two, in their order or swapped; ``reference`` is shown before them."""
        shown = (self.second, self.first) if swapped else (self.first, self.second)
        before = () if reference is None else (reference,)
        return Example(
            id=f"{shown[0].id} vs {shown[1].id}",
            dataset=dataset,
            images=(*before, *map(_image_of, shown)),
            target=Preference(
                choice=MIRRORED[self.choice] if swapped else self.choice,
                pair=f"{self.first.id} vs {self.second.id}",
                swapped=swapped,
                kind=self.kind,
            ),
            split=self.first.split,
            reference_id=self.first.reference_id,
        )


def choice_between(first: float, second: float, *, band: float) -> Choice:
    """The choice that two scores make: the higher one, or similar where they differ by no more than ``band``."""
    if abs(first - second) <= band + EQUAL_MOS:
        return "Similar"
    return "Image A" if first > second else "Image B"


def pairs_within(examples: Sequence[Example], *, band: float) -> list[Pair]:
    """All pairs of images with one ``reference_id``, in the order of the examples, with the choice of their scores.

    Raises:
        DataError: an example has no opinion score.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.reference_id or example.name, []).append(example)
    return [
        Pair(first=first, second=second, choice=choice_between(first.mos, second.mos, band=band))
        for group in groups.values()
        for first, second in combinations(group, 2)
    ]


def both_orders(pairs: Iterable[Pair], *, dataset: str) -> list[Example]:
    """Two questions about each pair, one after the other."""
    return [pair.example(dataset=dataset, swapped=swapped) for pair in pairs for swapped in (False, True)]


def image_id(ref: ImageRef) -> str:
    """The id of the single image that a pair's picture is, as its own data set names it."""
    if ref.view is not None:
        return ref.view
    return (ref.path or "").rpartition("/")[2].rpartition(".")[0]


def check_orders(orders: str) -> None:
    """Pass one of the orders there are.

    Raises:
        ConfigError: it is none.
    """
    if orders not in ("both", "drawn"):
        raise ConfigError(f"orders={orders}: use both, or drawn for one order of each pair")


def _image_of(example: Example) -> ImageRef:
    (ref,) = example.images
    return replace(ref, view=example.id) if ref.path is None else ref

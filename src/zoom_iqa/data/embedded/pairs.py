"""Pairs of the embedded set: one photograph under two distortions, or pristine and distorted, with people's preference.

The preference follows from the set's own labels: means of people's scores by type and level, and a rule for regions. So
it is a mean over photographs, no comparison that anybody made of these two images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_count_or_none, require_whole
from zoom_iqa.base.types import Example, Sample, Truth
from zoom_iqa.data.benchmarks import Source
from zoom_iqa.data.benchmarks.check import Report, inspect
from zoom_iqa.data.embedded.benchmark import EmbeddedBenchmark
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import SPLITS
from zoom_iqa.data.pairs import Orders, Pair, PairRule, check_orders, choice_between

DATASET = "embedded_pairs"


class EmbeddedPairs(Dataset[Sample]):
    """``size`` pairs of ``images``, two of one photograph each; equal arguments give equal pairs.

    ``rule.similar`` of them are similar, and as many of the others have the better image first as second. ``orders``
    "both" asks about each pair twice, in either order: ``size`` pairs are 2 ``size`` examples. Both pictures of a pair
    are made of one picture, flipped, cut and toned alike where ``images`` are augmented.

    Raises:
        ConfigError: there are not so many such pairs, or a value is out of range.
    """

    def __init__(self, *, images: EmbeddedSet, rule: PairRule, size: int, orders: Orders, seed: int) -> None:
        check_orders(orders)
        require_whole("size", size, least=1, note="it counts pairs")
        self._images = images
        items = images.items()
        index_of = {item.id: index for index, item in enumerate(items)}
        rng = np.random.default_rng((seed, SPLITS.index(str(items[0].split))))
        pairs = [_pair(items, places, rule.band) for places in _drawn(items, rule, size, rng)]
        swaps = _swaps(pairs) if orders == "drawn" else [False, True] * size
        asked = pairs if orders == "drawn" else [pair for pair in pairs for _ in range(2)]
        self._items = tuple(
            pair.example(dataset=DATASET, swapped=swapped) for pair, swapped in zip(asked, swaps, strict=True)
        )
        shown = [
            (pair.second.id, pair.first.id) if swapped else (pair.first.id, pair.second.id)
            for pair, swapped in zip(asked, swaps, strict=True)
        ]
        self._places = tuple((index_of[first], index_of[second]) for first, second in shown)
        self._bases = tuple(index_of[pair.first.id] for pair in asked)

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Sequence[Example]:
        """The labels, in index order."""
        return self._items

    def __getitem__(self, index: int) -> Sample:
        return self.made(index)[0]

    def scores(self, index: int) -> tuple[float, float]:
        """The opinion scores on 1-5 of the two images, in the order shown."""
        items = self._images.items()
        first, second = self._places[index]
        return items[first].mos, items[second].mos

    def made(self, index: int) -> tuple[Sample, tuple[Truth, Truth]]:
        """The two images and their defects."""
        made = [self._images.over(place, base=self._bases[index]) for place in self._places[index]]
        (first, first_truth), (second, second_truth) = made
        return Sample.of(self._items[index], first, second), (first_truth, second_truth)


@dataclass(frozen=True, kw_only=True)
class EmbeddedPairBenchmark:
    """Pairs of the images of ``benchmark``; ``sizes`` are the pairs of each split, asked about in ``orders``.

    Raises:
        ConfigError: no such split.
    """

    name: str
    benchmark: EmbeddedBenchmark
    sizes: Mapping[str, int]
    rule: PairRule
    orders: Orders
    seed: int
    evaluation_split: str
    source: Source

    def __post_init__(self) -> None:
        for split in (*self.sizes, self.evaluation_split):
            if split not in SPLITS:
                raise ConfigError(f"split={split!r}: the embedded set has {', '.join(SPLITS)}")

    @property
    def folder(self) -> Path:
        """The folder of the photographs."""
        return self.benchmark.folder

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> EmbeddedPairs:
        """The pairs of a split, ``size`` of them or as many as ``sizes`` says; see ``ImageBenchmark.images``."""
        images = self.benchmark.images(split, max_pixels=max_pixels, upright=upright, size=None)
        require_count_or_none("size", size, none_means="takes as many pairs as the benchmark has")
        return EmbeddedPairs(
            images=images,
            rule=self.rule,
            size=self.sizes[split] if size is None else size,
            orders=self.orders,
            seed=self.seed,
        )


@inspect.register
def _(benchmark: EmbeddedPairBenchmark, on_image: Callable[[], None]) -> Report:
    """Look at the images, and make every pair."""
    report = inspect(benchmark.benchmark, on_image)
    for split in benchmark.sizes:
        benchmark.images(split, max_pixels=None, upright=True, size=None)
    return report


def _pair(items: Sequence[Example], places: tuple[int, int], band: float) -> Pair:
    first, second = (items[place] for place in places)
    return Pair(first=first, second=second, choice=choice_between(first.mos, second.mos, band=band))


def _drawn(items: Sequence[Example], rule: PairRule, size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Places of ``size`` pairs in the order in which they are asked about."""
    similar = round(size * rule.similar)
    first_N, second_N, is_similar_N = _candidates(items, rule.band)
    chosen: list[int] = []
    for kind, wanted, found in (
        ("similar", similar, np.flatnonzero(is_similar_N)),
        ("different", size - similar, np.flatnonzero(~is_similar_N)),
    ):
        if wanted > len(found):
            raise ConfigError(
                f"size={size}: {wanted} {kind} pairs are needed, and {len(items)} images have {len(found)}; give a "
                "smaller size, or another rule.similar or rule.band"
            )
        chosen += rng.permutation(found)[:wanted].tolist()
    return [(int(first_N[place]), int(second_N[place])) for place in rng.permutation(chosen)]


def _candidates(items: Sequence[Example], band: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of images of one photograph, shape (N,): the places of both, and whether they are similar."""
    groups: dict[str | None, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(item.reference_id, []).append(place)
    mos = np.array([item.mos for item in items])
    corners = [np.triu_indices(len(group), k=1) for group in groups.values()]
    members = [np.array(group) for group in groups.values()]
    first_N = np.concatenate([group[rows] for group, (rows, _) in zip(members, corners, strict=True)])
    second_N = np.concatenate([group[columns] for group, (_, columns) in zip(members, corners, strict=True)])
    similar_N = [choice_between(mos[a], mos[b], band=band) == "Similar" for a, b in zip(first_N, second_N, strict=True)]
    return first_N, second_N, np.array(similar_N, dtype=bool)


def _swaps(pairs: Sequence[Pair]) -> list[bool]:
    """Pairs to be shown in the other order, so that the better image is as often first as second."""
    wanted = {"Image A": 0, "Image B": 0}
    swaps = []
    for number, pair in enumerate(pairs):
        if pair.choice == "Similar":
            swaps.append(number % 2 == 1)
            continue
        first_is_rarer = wanted["Image A"] <= wanted["Image B"]
        swap = (pair.choice == "Image A") != first_is_rarer
        wanted["Image A" if first_is_rarer else "Image B"] += 1
        swaps.append(swap)
    return swaps

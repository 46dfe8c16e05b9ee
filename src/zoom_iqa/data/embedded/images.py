"""The embedded set: photographs shipped with the package, distorted on the fly as KADID-10k does, with its mean scores.

An image is pristine, distorted all over, or in one region only, where a downsized view hides what a crop shows.
Everything follows from (seed, split, index); photographs never cross splits.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_share, require_whole
from zoom_iqa.base.types import Example, Region, Sample, Truth, rated_example
from zoom_iqa.data.distortions import DISTORTIONS, Distortion, distort
from zoom_iqa.data.embedded.dead_leaves import dead_leaves
from zoom_iqa.data.embedded.kadid_means import (
    PRISTINE_MOS,
    UNSEEN_MOS,
    global_mos,
    global_mos_std,
    region_mos,
    severity,
)
from zoom_iqa.data.embedded.photographs import SPLITS
from zoom_iqa.data.embedded.pictures import Pictures, ShippedPictures
from zoom_iqa.data.embedded.references import Flaw, synthetic_references
from zoom_iqa.data.embedded.region import augment, choose_region, distort_region
from zoom_iqa.data.embedded.score_shape import Scores, pool_size, shaped

LOCAL_NUMBERS = (1, 2, 3, 9, 10, 11, 12, 13, 14, 15, 19, 21)
"""Types put into a region: those of fine scale, which go when the image is downsized."""

LOCAL_LEVELS = (3, 4, 5)
LOCAL_AREA = (0.10, 0.30)
LARGEST_AREA = 0.60  # a side 1.6 times the other is then within the image

LEAVES = "leaves_"
"""Begins the names of procedural scenes; the photograph that gives the colours follows."""

SYNTHETIC = "synthetic"
"""The one choice of references there is: nobody wrote about these images."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A picture, and the distortion that is done to it.

    ``photograph`` is the picture, or the palette of a procedural scene; ``kind`` None leaves it pristine; ``extent``
    (width, height as fractions) bounds the distortion to a region of that size, None puts it everywhere.
    """

    photograph: str
    procedural: bool
    kind: Distortion | None
    level: float
    extent: tuple[float, float] | None

    @property
    def mos(self) -> float:
        """The score on 1-5."""
        if self.kind is None:
            return PRISTINE_MOS
        if self.extent is None:
            return global_mos(self.kind, self.level)
        return region_mos(self.kind, self.level, self.extent[0] * self.extent[1])

    @property
    def mos_std(self) -> float | None:
        """Standard deviation of the score over references, where the score is a human mean."""
        return None if self.kind is None or self.extent is not None else global_mos_std(self.kind, self.level)


class EmbeddedSet(Dataset[Sample]):
    """Map-style set of ``size`` images of one split; equal arguments give equal images.

    The truth of an example is known once its picture is made: samples have it, labels alone do not. ``recipes`` say how
    each picture is made.

    ``local_fraction`` of them are distorted in a region, ``pristine_fraction`` not at all, the rest all over, spread
    evenly over types, levels and photographs. ``continuous_levels`` draws levels between KADID-10k's five.
    ``procedural_fraction`` takes a dead-leaves scene in place of the photograph, and ``augmented`` flips, crops and
    changes the gamma of the picture before it is distorted: for training only. ``references`` "synthetic" gives them
    texts as people might write them, None leaves them without. ``local_area`` is the least and the largest share of the
    image that a region takes, None ``LOCAL_AREA``. ``scores`` "koniq" draws recipes so that scores are distributed as
    KonIQ-10k's, whereupon the fractions are those of what is drawn from; None leaves them as types and levels give
    them. ``pictures`` are what is distorted; None takes the shipped photographs of the split.

    Raises:
        ConfigError: a name, fraction or size that cannot be, or training's enlargements asked for another split.
    """

    def __init__(
        self,
        *,
        split: str,
        size: int,
        seed: int,
        local_fraction: float,
        pristine_fraction: float,
        procedural_fraction: float,
        continuous_levels: bool,
        augmented: bool,
        references: str | None,
        local_area: Sequence[float] | None = None,
        scores: Scores | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        if references not in (None, SYNTHETIC):
            raise ConfigError(
                f"data.references={references}: the embedded set writes its own; give {SYNTHETIC} or null"
            )
        fractions = {"local": local_fraction, "pristine": pristine_fraction, "procedural": procedural_fraction}
        _check(split, size, fractions, augmented)
        cv2.setNumThreads(0)  # loader workers are the parallelism
        self._split = split
        require_whole("seed", seed, least=0)
        self._entropy = (seed, SPLITS.index(split))
        self._augmented = augmented
        rng = np.random.default_rng(self._entropy)
        self._pictures = ShippedPictures(split=split) if pictures is None else pictures
        names = [self._pictures.names[i] for i in rng.permutation(len(self._pictures.names))]
        area, count = _area(local_area), size if scores is None else pool_size(size)
        local, pristine = round(count * local_fraction), round(count * pristine_fraction)
        recipes = [
            *_spread(names, DISTORTIONS, (1, 2, 3, 4, 5), count - local - pristine, continuous_levels, None, rng),
            *_spread(names, _local_kinds(), LOCAL_LEVELS, local, continuous_levels, area, rng),
            *(_recipe(names[i % len(names)], None, 1.0, None) for i in range(pristine)),
        ]
        if scores is not None:
            recipes = shaped(recipes, [recipe.mos for recipe in recipes], scores=scores, size=size, rng=rng)
        procedural = set(rng.permutation(size)[: round(size * procedural_fraction)].tolist())
        order = rng.permutation(size)
        self.recipes = tuple(replace(recipes[i], procedural=i in procedural) for i in order)
        items = _items(self.recipes, split)
        self._items = items if references is None else _referenced(items, self.recipes)

    def __len__(self) -> int:
        return len(self.recipes)

    @property
    def picture_names(self) -> Sequence[str]:
        """The names of the photographs that pictures are made of."""
        return self._pictures.names

    def items(self) -> list[Example]:
        """The records of all images in order, made without pixels."""
        return list(self._items)

    def referenced(self) -> EmbeddedSet:
        """The same images with synthetic references."""
        one = copy.copy(self)
        one._items = _referenced(self._items, self.recipes)
        return one

    def __getitem__(self, index: int) -> Sample:
        recipe, example = self.recipes[index], self._items[index]
        rng = np.random.default_rng((*self._entropy, index % len(self)))
        pixels, region = self._pixels(recipe, rng)
        return Sample.of(replace(example, truth=_truth(recipe, region)), Image.fromarray(pixels))

    def over(self, index: int, *, base: int) -> tuple[Image.Image, Truth]:
        """The image at ``index`` made of the very picture of the one at ``base``, of the same photograph; its defect.

        Where pictures are not augmented it is the image itself.
        """
        recipe = self.recipes[index]
        picture = self._picture(self.recipes[base], np.random.default_rng((*self._entropy, base)))
        pixels, region = _distorted(picture, recipe, np.random.default_rng((*self._entropy, index)))
        return Image.fromarray(pixels), _truth(recipe, region)

    def _pixels(self, recipe: Recipe, rng: np.random.Generator) -> tuple[np.ndarray, Region | None]:
        return _distorted(self._picture(recipe, rng), recipe, rng)

    def _picture(self, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
        """The picture before it is distorted."""
        base = self._pictures.draw(recipe.photograph, rng)
        if recipe.procedural:
            height, width = base.shape[:2]
            base = dead_leaves(width=width, height=height, palette=base.reshape(-1, 3), rng=rng)
        return augment(base, rng) if self._augmented else base


def _distorted(base: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> tuple[np.ndarray, Region | None]:
    if recipe.kind is None:
        return base, None
    if recipe.extent is None:
        return distort(base, kind=recipe.kind, level=recipe.level, rng=rng), None
    region = choose_region(base, recipe.extent, rng)
    return distort_region(base, kind=recipe.kind, level=recipe.level, region=region, rng=rng), region


def _check(split: str, size: int, fractions: dict[str, float], augmented: bool) -> None:
    if split not in SPLITS:
        raise ConfigError(f"split={split!r}: give one of {', '.join(SPLITS)}")
    require_whole("size", size, least=1)
    for name, value in fractions.items():
        require_share(f"{name}_fraction", value)
    if fractions["local"] + fractions["pristine"] > 1:
        raise ConfigError(f"local_fraction={fractions['local']} and pristine_fraction={fractions['pristine']} exceed 1")
    if split != "train" and (fractions["procedural"] > 0 or augmented):
        raise ConfigError(f"split={split}: procedural_fraction and augmented are for the training split only")


def _local_kinds() -> tuple[Distortion, ...]:
    return tuple(kind for kind in DISTORTIONS if kind.number in LOCAL_NUMBERS)


def _recipe(photograph: str, kind: Distortion | None, level: float, extent: tuple[float, float] | None) -> Recipe:
    return Recipe(photograph=photograph, procedural=False, kind=kind, level=level, extent=extent)


def _spread(
    names: Sequence[str],
    kinds: Sequence[Distortion],
    levels: Sequence[int],
    count: int,
    continuous: bool,
    area: tuple[float, float] | None,
    rng: np.random.Generator,
) -> list[Recipe]:
    """``count`` recipes, (type, level) and photograph cycling side by side, so that a pair rarely comes up twice.

    They are of regions that take such shares of the image, or all over it. Continuous levels are drawn from equal
    slices of the range, one slice for each of ``levels``.
    """
    cells = [(kind, number) for kind in kinds for number in range(len(levels))]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    span = (levels[-1] - levels[0]) / len(levels)
    recipes = []
    for i in range(count):
        kind, slot = cells[i % len(cells)]
        level = round(levels[0] + span * (slot + rng.random()), 2) if continuous else float(levels[slot])
        recipes.append(_recipe(names[i % len(names)], kind, level, None if area is None else _extent(area, rng)))
    return recipes


def _area(given: Sequence[float] | None) -> tuple[float, float]:
    area = LOCAL_AREA if given is None else tuple(given)
    if len(area) != 2 or not 0 < area[0] <= area[1] <= LARGEST_AREA:
        raise ConfigError(f"local_area={list(area)}: give the least and the largest share, up to {LARGEST_AREA}")
    return area[0], area[1]


def _extent(bounds: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """Width and height of a region as fractions: its area even within bounds, its sides within a factor 1.6."""
    area, stretch = rng.uniform(*bounds), 1.6 ** rng.uniform(-0.5, 0.5)
    return float(np.sqrt(area) * stretch), float(np.sqrt(area) / stretch)


def _items(recipes: Sequence[Recipe], split: str) -> tuple[Example, ...]:
    """Records with ids such as "coffee-t10-l4-g0": the recipe, g (global) or r (region), and a running number."""
    seen: Counter[str] = Counter()
    items = []
    for recipe in recipes:
        source = f"{LEAVES}{recipe.photograph}" if recipe.procedural else recipe.photograph
        what = "pristine" if recipe.kind is None else f"t{recipe.kind.number:02d}-l{recipe.level:g}"
        stem = f"{source}-{what}-{'g' if recipe.extent is None else 'r'}"
        items.append(
            rated_example(
                id=f"{stem}{seen[stem]}",
                dataset="embedded",
                mos=recipe.mos,
                mos_std=recipe.mos_std,
                reference_id=source,
                split=split,
            )
        )
        seen[stem] += 1
    return tuple(items)


def _referenced(items: Sequence[Example], recipes: Sequence[Recipe]) -> tuple[Example, ...]:
    """The records with texts about what each recipe does."""
    return tuple(
        replace(item, references=synthetic_references(item, recipe.photograph, procedural=recipe.procedural, flaw=flaw))
        for item, recipe in zip(items, recipes, strict=True)
        for flaw in [_flaw(recipe)]
    )


def _flaw(recipe: Recipe) -> Flaw | None:
    """The distortion as a person sees it: None where there is none that raters saw."""
    truth = _truth(recipe, None)
    return None if truth.distortion is None else Flaw(truth.distortion, truth.level, recipe.extent is not None)


def _truth(recipe: Recipe, region: Region | None) -> Truth:
    """The defect that may be told: a distortion that the raters did not see is none."""
    if recipe.kind is None or global_mos(recipe.kind, recipe.level) >= UNSEEN_MOS:
        return Truth(distortion=None, level=1.0, region=None)
    return Truth(distortion=recipe.kind.name, level=severity(recipe.kind, recipe.level), region=region)

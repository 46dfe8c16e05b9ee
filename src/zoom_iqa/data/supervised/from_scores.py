"""Supervised trajectories for images of which nothing is known but their score, as in most sets of real photographs.

The four sections say what follows from the score: how strong the damage is and how good the whole is, never of which
kind or where. Now and then a closer look is asked for, anywhere, so that second turns stay known; what the crop shows
is taken to be as good as the whole.

Few images are soon known by heart. So each may be shown in several views, and what is said of its score may scatter,
as people's opinions do: on average over views, a soft label (as in DeQA-Score, arXiv 2501.11561).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from zoom_iqa.base.defects import PRISTINE, Defect
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_not_negative, require_share
from zoom_iqa.base.types import Example, Region, Sample
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.data.supervised.two_turns import Rationale, TwoTurns
from zoom_iqa.tasks.answer import RATING_MAX, RATING_MIN
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.task import Task

DAMAGE = Defect("damage", "loss of quality", "clean detail", "none")
SEVERITY_OF_SCORE = ("severe", "strong", "clear", "mild")
"""By the nearest whole score from 1; at 5 there is no defect to speak of."""

SMALLEST_SIDE = 0.8
"""Of a further view, as a fraction of the image's: a photograph trimmed less keeps its score."""

PLACES: dict[str, Region] = {
    "upper left": (0.0, 0.0, 0.5, 0.5),
    "upper right": (0.5, 0.0, 1.0, 0.5),
    "centre": (0.2, 0.2, 0.8, 0.8),
    "lower left": (0.0, 0.5, 0.5, 1.0),
    "lower right": (0.5, 0.5, 1.0, 1.0),
}


class ScoreRationales:
    """Writes a trajectory from a score on 1-5 alone.

    ``crop_rate`` in [0, 1]: how often a closer look is asked for; ``rating_spread``: the standard deviation of the
    score which counts, in MOS units. The rest as in ``TwoTurns``.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self, *, prompts: PromptSet, crop_rate: float, guess_pull: float, guess_spread: float, rating_spread: float
    ) -> None:
        require_share("data.trajectories.writer.crop_rate", crop_rate)
        require_not_negative("data.trajectories.writer.rating_spread", rating_spread)
        self._turns = TwoTurns(prompts=prompts, guess_pull=guess_pull, guess_spread=guess_spread)
        self._crop_rate, self._rating_spread = crop_rate, rating_spread

    def write(self, mos: float, rng: np.random.Generator) -> Rationale:
        """One trajectory; equal scores and equal generator states give equal texts."""
        place = str(rng.choice(list(PLACES))) if rng.random() < self._crop_rate else None
        opinion = float(np.clip(mos + self._rating_spread * rng.standard_normal(), RATING_MIN, RATING_MAX))
        flawless = opinion >= RATING_MAX - 0.5
        return self._turns.write(
            mos=opinion,
            defect=PRISTINE if flawless else DAMAGE,
            severity="faint" if flawless else SEVERITY_OF_SCORE[int(opinion + 0.5) - 1],
            place="frame" if place is None else place,
            box=None if place is None else PLACES[place],
            rng=rng,
        )


class ScoredTrajectories(Dataset[Trajectory]):
    """``views`` trajectories for each labelled image; view, question and wording follow from (seed, index).

    The first view is the image itself; further ones are mirrored at random and trimmed at the borders, not resized.

    Raises:
        ConfigError: there is no view or no writer.
    """

    def __init__(
        self, *, images: ImageDataset, writer: ScoreRationales | None, task: Task, views: int, seed: int
    ) -> None:
        if writer is None:
            raise ConfigError(
                "data.trajectories.writer: nothing writes trajectories of this task from scores alone; teach it with "
                "data=embedded, train here by 'stages=[grpo]' with policy.path=FOLDER of that run, or name a writer "
                "of your own"
            )
        if views < 1:
            raise ConfigError(f"data.trajectories.views={views} must be at least 1")
        self._images, self._writer, self._task, self._seed = images, writer, task, seed
        first = images.items()
        self._items = (
            *first,
            *(_of_view(example, view) for view in range(1, views) for example in first),
        )

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Sequence[Example]:
        """The labels in order: all first views, then all second ones, and so on."""
        return self._items

    def __getitem__(self, index: int) -> Trajectory:
        view, of_image = divmod(index, len(self._images))
        example, image = self._items[index], self._images[of_image].image
        rng = np.random.default_rng((self._seed, index))
        if view:
            image = _view(image, rng)
        texts = self._writer.write(example.mos, rng).texts
        session = self._task.rehearse(Sample.of(example, image), rng)
        return Trajectory(example, supervised_turns(session, texts))


def _of_view(example: Example, view: int) -> Example:
    """The label of a further view of an image."""
    images = tuple(replace(ref, view=f"view{view}") for ref in example.images)
    return replace(example, id=f"{example.id}-view{view}", images=images)


def _view(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """At least ``SMALLEST_SIDE`` of each side, cut anywhere and not resized, mirrored half of the time."""
    sizes = [max(1, round(side * rng.uniform(SMALLEST_SIDE, 1.0))) for side in image.size]
    left, top = (int(rng.integers(0, side - size + 1)) for side, size in zip(image.size, sizes, strict=True))
    cut = image.crop((left, top, left + sizes[0], top + sizes[1]))
    return ImageOps.mirror(cut) if rng.random() < 0.5 else cut

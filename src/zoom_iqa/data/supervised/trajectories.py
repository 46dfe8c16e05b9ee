"""Data sets of supervised trajectories: written on the fly from images whose defects are known, or read from JSONL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Example, ImagePart, Truth, rated_example
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.images import load_image
from zoom_iqa.data.supervised.described import DescribedTurn
from zoom_iqa.data.supervised.records import SupervisedTurn, load_turn, read_records, supervised_turns
from zoom_iqa.tasks.task import Task, check_examples


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The turns of one image to learn from."""

    example: Example
    turns: tuple[SupervisedTurn, ...]

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """Every image shown, in order."""
        parts = (part for turn in self.turns for message in turn.prompt for part in message.parts)
        return tuple(part for part in parts if isinstance(part, ImagePart))


class Written(Protocol):
    """The texts of one trajectory in order."""

    @property
    def texts(self) -> Sequence[str]:
        """One for each turn."""
        ...


class TrajectoryWriter(Protocol):
    """Writes what a good trajectory of a task says."""

    def write(self, truth: Truth, mos: float, rng: np.random.Generator) -> Written:
        """The trajectory about an image whose defect and score on 1-5 are known."""
        ...


class Rater(Protocol):
    """Rates the images that trajectories are written about, other than people do."""

    def told(self, example: Example, truth: Truth) -> tuple[Truth, float]:
        """The defect and the rating on 1-5 that a trajectory tells."""
        ...


class WrittenTrajectories(Dataset[Trajectory]):
    """A trajectory of ``task`` for each image of a set of known defects; what is drawn follows from (seed, index).

    ``ratings`` are those that trajectories tell; None tells the true ones. ``described`` adds the question about the
    description alone to some of them; None adds none.

    Raises:
        ConfigError: there is no writer.
        DataError: the task asks about something else than single images.
    """

    def __init__(
        self,
        *,
        images: ImageDataset,
        writer: TrajectoryWriter | None,
        task: Task,
        seed: int,
        ratings: Rater | None = None,
        described: DescribedTurn | None = None,
    ) -> None:
        check_examples(task, images.items())
        if writer is None:
            raise ConfigError(
                "data.trajectories.writer: nothing writes trajectories for this task; train by 'stages=[grpo]', or "
                "name a writer of your own"
            )
        self._images, self._writer, self._task, self._seed = images, writer, task, seed
        self._ratings, self._described = ratings, described

    def __len__(self) -> int:
        return len(self._images)

    def items(self) -> Sequence[Example]:
        """The labels of all images in order."""
        return self._images.items()

    def __getitem__(self, index: int) -> Trajectory:
        sample = self._images[index]
        example = sample.example
        assert example.truth is not None, "a set knows what it made"
        rng = np.random.default_rng((self._seed, index))
        truth, told = (
            (example.truth, example.mos) if self._ratings is None else self._ratings.told(example, example.truth)
        )
        texts = self._writer.write(truth, told, rng).texts
        turns = supervised_turns(self._task.rehearse(sample, rng), texts)
        if self._described is not None:
            turns += self._described.turns(example, texts, told=told, rng=rng)
        return Trajectory(example, turns)


class FileTrajectories(Dataset[Trajectory]):
    """The turns of a JSONL file, one trajectory of one turn each; images are opened when they are asked for.

    Raises:
        DataError: there is no file, or lines of it are unusable.
    """

    def __init__(self, *, path: str | None, image_root: str, max_pixels: int | None, upright: bool) -> None:
        if path is None:
            raise DataError(
                "data.trajectories.path=null: name a JSONL file of trajectories, or leave SFT out: stages=[grpo]"
            )
        self._records = read_records(path, image_root=image_root)
        self._max_pixels, self._upright = max_pixels, upright
        self._items = tuple(rated_example(id=r.id, dataset="trajectories", mos=r.mos) for r in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def items(self) -> Sequence[Example]:
        """One example per record."""
        return self._items

    def __getitem__(self, index: int) -> Trajectory:
        turn = load_turn(
            self._records[index], lambda path: load_image(path, max_pixels=self._max_pixels, upright=self._upright)
        )
        return Trajectory(self._items[index], (turn,))

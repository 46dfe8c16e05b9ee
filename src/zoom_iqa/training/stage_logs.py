"""The loggers of a stage: the facts that they are made from, and all that they are told beside a step's figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch.loggers import Logger
from PIL.Image import Image

from zoom_iqa.base.records import Record
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.evaluation.figures import compares
from zoom_iqa.evaluation.preferences import wrong_first
from zoom_iqa.parallel.processes import rank


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """The stage that a logger is for: its folder, the name of what it counts as steps, and the run it belongs to.

    ``group`` names the run, or the sweep that the run is part of; ``origin`` is its command, versions and data sets.
    """

    folder: Path
    stage: str
    axis: str
    group: str
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ShownTrajectory:
    """A trajectory with the pixels it is about."""

    record: Record
    image: Image


SHOWN = 24
"""Trajectories of an evaluation that are shown: those farthest from the opinion scores."""

MakeLogger = Callable[..., Logger]
"""Makes a logger from ``facts=StageFacts``."""


@runtime_checkable
class TrajectoryLog(Protocol):
    """A logger that can show trajectories."""

    def log_trajectories(self, title: str, shown: Sequence[ShownTrajectory], *, step: int) -> None:
        """Show them under ``title``; trajectories of a step that was logged before are there already."""
        ...


@runtime_checkable
class LongLog(Protocol):
    """A logger that also takes what comes after a stage's training: its evaluation, and files. It ends when closed."""

    @property
    def artifacts(self) -> Sequence[str]:
        """The kinds of files that it keeps."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures at a step."""
        ...

    def log_files(self, kind: str, path: Path) -> None:
        """Keep a file or a folder as an artifact of one of its kinds."""
        ...

    def close(self, *, failed: bool) -> None:
        """End the run of the stage."""
        ...


class StageLogs:
    """The loggers of one stage, open from its first step to its evaluation; used as a context manager."""

    def __init__(self, makers: Sequence[MakeLogger], facts: StageFacts) -> None:
        self.loggers = [make(facts=facts) for make in makers]

    def __enter__(self) -> StageLogs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger in self.loggers:
            if isinstance(logger, LongLog) and rank() == 0:
                logger.close(failed=error is not None)

    def evaluated(
        self, figures: Mapping[str, Any], records: Sequence[Record], dataset: ImageDataset, *, step: int
    ) -> None:
        """Log what came of the stage after ``step`` steps: figures that are numbers, and the answers farthest off.

        A figure's name is ``eval/<data set>/<figure>``.
        """
        name = records[0].example.dataset
        numbers = {
            f"eval/{name}/{key}": float(value)
            for key, value in figures.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for logger in self.loggers:
            if isinstance(logger, LongLog):  # the CSV file is of training; metrics.json has these
                logger.log_metrics(numbers, step=step)
        if rank() == 0 and any(isinstance(logger, TrajectoryLog) for logger in self.loggers):
            show_in(self.loggers, name, farthest_off(records, dataset), step=step)

    def keeps(self, kind: str) -> bool:
        """Whether a logger keeps files of this kind."""
        return any(kind in logger.artifacts for logger in self.loggers if isinstance(logger, LongLog))

    def keep(self, kind: str, path: Path) -> None:
        """Keep files where they are wanted."""
        for logger in self.loggers:
            if isinstance(logger, LongLog) and kind in logger.artifacts:
                logger.log_files(kind, path)


def farthest_off(records: Sequence[Record], dataset: ImageDataset) -> list[ShownTrajectory]:
    """Of the first trajectories those without a judgement, then those farthest from people's."""
    firsts = [record for record in records if record.sample == 0]
    index_of = {item.name: index for index, item in enumerate(dataset.items())}
    ordered = wrong_first(firsts) if compares(firsts) else sorted(firsts, key=_nearness)
    return [
        ShownTrajectory(record=record, image=dataset[index_of[record.example.name]].image) for record in ordered[:SHOWN]
    ]


def _nearness(record: Record) -> float:
    return -math.inf if record.rating is None else -abs(record.rating - record.example.mos)


def show_in(loggers: Sequence[Any], title: str, shown: Sequence[ShownTrajectory], *, step: int) -> None:
    """Show trajectories in those of the loggers that can."""
    for logger in loggers:
        if isinstance(logger, TrajectoryLog) and rank() == 0 and shown:
            logger.log_trajectories(title, shown, step=step)

"""The contents of a run folder that pages and overviews show: figures, records, and the rows of its logs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.evaluation.figure_kinds import of_comparisons, on_mos_scale
from zoom_iqa.evaluation.figures import ImageRatings, ratings_by_image
from zoom_iqa.reports.runs import Figures, FinishedRun, read_run, require_figures

LogRow = dict[str, float]
"""Figures that a stage logged at a step; ``step`` is one of the keys."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An evaluation of a run: after a stage of training, or of a data set. ``images`` are in the data set's order."""

    name: str
    figures: Figures
    images: tuple[ImageRatings, ...]

    @property
    def dataset(self) -> str:
        """The name that its images bear."""
        return self.images[0].trajectories[0].example.dataset

    @property
    def compares(self) -> bool:
        """Whether its answers are choices between two images."""
        return of_comparisons(self.figures)

    @property
    def on_mos_scale(self) -> bool:
        """Whether ratings can be compared with opinion scores; those of some peers are on a scale of their own."""
        return on_mos_scale(self.figures)


OF_PAGES = (
    *("n", "n_valid", "srcc", "srcc_interval", "plcc", "plcc_interval", "rmse", "failures", "unique_score_ratio"),
    *("score_histogram", "mos_histogram"),
)
"""Figures that pages read."""


def last_of_each(judged: Sequence[Judged]) -> list[Judged]:
    """The last evaluation of each data set, in the order in which data sets first come."""
    return list({one.dataset: one for one in judged}.values())


@dataclass(frozen=True, kw_only=True)
class RunContents:
    """The figures of a run with the answers they are of, what its stages have logged, by their names, and its
    origin: command, versions and data sets.
    """

    run: FinishedRun
    judged: tuple[Judged, ...]
    logs: Mapping[str, tuple[LogRow, ...]]
    origin: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The run's name: that of its config, else its folder's."""
        return str(self.run.config.get("name", self.run.path.resolve().name))


def read_contents(path: Path) -> RunContents:
    """Read a run's folder.

    Raises:
        DataError: it is not a run's, a file of it is damaged, or it has no figures yet.
    """
    run, folder = read_run(path), RunFolder(path)
    judged = tuple(_judged(path, name, figures, run.predictions(name)) for name, figures in run.metrics.items())
    stages = [str(stage) for stage in run.config["stages"]] if run.trained else []
    logs = {stage: logged(folder.logs(stage) / "metrics.csv") for stage in stages}
    return RunContents(
        run=run,
        judged=judged,
        logs={stage: rows for stage, rows in logs.items() if rows},
        origin=folder.origin(),
    )


def kept_rollouts(path: Path) -> tuple[Record, ...]:
    """The rollouts that the training in a run's folder has kept, in the order of its steps.

    Raises:
        DataError: a line is not a record.
    """
    return tuple(record for file in sorted(path.glob("logs/*/rollouts.jsonl")) for record in _records(file))


def logged(path: Path) -> tuple[LogRow, ...]:
    """The rows of a ``metrics.csv``; none where there is no such file. A figure that a step lacks is not in its row.

    Raises:
        DataError: a value is no number.
    """
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return tuple(_numbers(row) for row in csv.DictReader(file))
        except (ValueError, csv.Error) as error:
            raise DataError(f"{path} is damaged: {error}") from error


def _numbers(row: Mapping[str | None, object]) -> LogRow:
    found = {str(name): float(value) for name, value in row.items() if isinstance(value, str) and value != ""}
    if "step" not in found:
        raise ValueError("a row has no step")
    return found


def _judged(path: Path, name: str, figures: Figures, predictions: Path) -> Judged:
    records = _records(predictions)
    if not records:
        raise DataError(f"{predictions} is absent or empty, so {name} cannot be shown; evaluate again")
    judged = Judged(name=name, figures=figures, images=tuple(ratings_by_image(records)))
    if not judged.compares:
        require_figures(path, name, figures, OF_PAGES)
    return judged


def _records(path: Path) -> Sequence[Record]:
    return RecordFile(path, RecordCodec()).read() if path.exists() else ()

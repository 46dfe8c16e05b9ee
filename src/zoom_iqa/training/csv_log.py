"""A stage's figures as ``metrics.csv``, one row a step; a continued run goes on in the same file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from zoom_iqa.base.atomic_files import named_errors, whole_text_file
from zoom_iqa.training.stage_logs import StageFacts


class CSVLog(Logger):
    """Rows from the first step logged on replace those an interrupted run left: its last steps are made again.

    A first row of new figures alone is an evaluation that is made up for: it is added to its step's.
    """

    def __init__(self, *, facts: StageFacts) -> None:
        super().__init__()
        self._path = facts.folder / "metrics.csv"
        self._columns: list[str] = []
        self._step: int | None = None  # the last one logged
        self._last: tuple[int, dict[str, Any]] | None = None  # the last row appended, and where in the file it begins

    @property
    def name(self) -> str:
        """The name that Lightning uses."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any) -> None:
        """The run folder holds the whole config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row, or add to the last one; the file is written anew for a new column and a run that goes on."""
        row = {"step": step, **{name: value for name, value in metrics.items() if name != "epoch"}}
        last, self._step = self._step, step
        if last == step and self._last is not None and row.keys() <= set(self._columns):
            place, there = self._last
            self._write({**there, **row}, at=place)
            return
        self._last = None
        if last in (None, step) or not row.keys() <= set(self._columns):
            kept = self._rows(before=None if last is not None or step is None else step + 1)
            if last is None and kept and int(kept[-1]["step"]) == step and not _are_more(row, kept[-1]):
                kept.pop()
            joins = bool(kept) and int(kept[-1]["step"]) == step
            self._rewrite([*kept[:-1], {**kept[-1], **row}] if joins else [*kept, row])
            return
        self._write(row, at=self._path.stat().st_size)

    def _write(self, row: dict[str, Any], *, at: int) -> None:
        """A row as the last one, in the place of what stands from ``at`` on."""
        with named_errors(self._path), self._path.open("r+", newline="", encoding="utf-8") as file:
            file.seek(at)
            csv.DictWriter(file, self._columns).writerow(row)
            file.truncate()
        self._last = at, row

    def _rows(self, *, before: int | None) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            # a row cut off by a crash has no value in its last columns
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
        return rows if before is None else [row for row in rows if int(row["step"]) < before]

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with whole_text_file(self._path) as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)


def _are_more(row: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether none of a row's figures is there already."""
    return all(name == "step" or not there.get(name) for name in row)

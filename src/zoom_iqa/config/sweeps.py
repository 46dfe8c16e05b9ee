"""The end of a multirun: its runs in one table, printed and kept as ``summary.csv`` in its folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import DataError
from zoom_iqa.config.commands import FAILED
from zoom_iqa.config.go_on import go_on_with_all
from zoom_iqa.reports.rendering import comma_separated, markdown
from zoom_iqa.reports.sweep import sweep_table

SUMMARY = "summary.csv"


class SweepSummary(Callback):
    """Writes and prints the table of a multirun of zoom_iqa.train."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it when all jobs have ended; where some have failed the multirun's status is 2."""
        folder = Path(config.hydra.sweep.dir)
        try:
            table = sweep_table(folder)
        except DataError as error:
            print(f"no summary: {error}", file=sys.stderr)
            sys.exit(FAILED)
        with whole_text_file(folder / SUMMARY) as file:
            file.write(comma_separated(table))
        print(f"\n{markdown(table)}\n{folder / SUMMARY}")
        if table.notes:
            again = go_on_with_all(folder)
            print(f"error: {len(table.notes)} runs have not ended; to go on with them: {again}", file=sys.stderr)
            sys.exit(FAILED)

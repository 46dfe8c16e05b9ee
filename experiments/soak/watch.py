"""A callback that writes down, after each step, how much of the machine the process holds and took."""

from __future__ import annotations

import csv
import os
import threading
import time
from pathlib import Path
from typing import Any

import lightning as L

COLUMNS = ("step", "resident_mb", "open_files", "threads", "cpu_s", "wall_s")


class Watch(L.Callback):
    """Rows of ``path``, a step each; ``cpu_s`` is the processor's time, which a busy machine does not lengthen."""

    def __init__(self, *, path: str) -> None:
        self._path = Path(path)
        self._began = (0.0, 0.0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._path.write_text(",".join(COLUMNS) + "\n")
        self._began = time.process_time(), time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.process_time(), time.perf_counter()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        row = (
            batch_idx,
            round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            *(round(end - begin, 4) for end, begin in zip(now, self._began, strict=True)),
        )
        with self._path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
        self._began = time.process_time(), time.perf_counter()

"""A progress line with the time left: a live bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zoom_iqa.base.printable import printable

PLAIN_INTERVAL_S = 15.0


class ProgressLine:
    """Counts ``total`` steps under a title; ``figures`` are shown behind the bar. Several processes show one."""

    def __init__(self, title: str, *, total: int, shown: bool = True) -> None:
        self._title = printable(title)
        self._shown = shown
        self._total = total
        self._done = 0
        self._first = 0
        self._started = self._printed = time.monotonic()
        self._bar: Progress | None = None
        if shown and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(escape(self._title), total=total, figures="")

    def __enter__(self) -> ProgressLine:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Show the bar, in a terminal."""
        if self._bar is not None:
            self._bar.start()

    def start_at(self, done: int) -> None:
        """Begin at a step already done, so that a continued run estimates its time left by its own pace."""
        self._done = self._first = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def advance(self, steps: int = 1, figures: Mapping[str, float] | None = None) -> None:
        """Count steps as done."""
        self._done += steps
        text = "  ".join(f"{name} {value:.3g}" for name, value in (figures or {}).items())
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, figures=text)
        elif self._shown and (time.monotonic() - self._printed >= PLAIN_INTERVAL_S or self._done == self._total):
            self._printed = time.monotonic()
            print(
                f"{self._title} {self._done}/{self._total}, {self._left()}  {text}".rstrip(),
                file=sys.stderr,
                flush=True,
            )

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within the block others may print: the bar is gone from the terminal, and comes again after it."""
        if self._bar is None:
            yield
            return
        self._bar.live.transient = True
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.live.transient = False
            self._bar.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        pace = elapsed / max(1, self._done - self._first)
        return f"{_clock(elapsed)} elapsed, {_clock(pace * (self._total - self._done))} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

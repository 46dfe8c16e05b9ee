"""The last step at which each figure was logged, in a file: a continued stage makes steps again and logs none twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import DataError


class LoggedSteps:
    """Steps by figure, as an earlier process left them in ``path``, and as this one adds to them.

    ``rows`` is how often something was logged, by all processes of the stage.

    Raises:
        DataError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: dict[str, int] = {}
        self.rows = 0
        if path.exists():
            try:
                kept = json.loads(path.read_text("utf-8"))
                self._before = {str(name): int(step) for name, step in kept["steps"].items()}
                self.rows = int(kept["rows"])
            except (ValueError, LookupError, AttributeError, TypeError) as error:
                raise DataError(f"{path} is damaged ({error}); remove it to log the stage anew") from error
        self._now = dict(self._before)

    def missing(self, names: Iterable[str], step: int) -> list[str]:
        """The figures that were not logged at this step by an earlier process."""
        return [name for name in names if step > self._before.get(name, -1)]

    def add(self, names: Iterable[str], step: int) -> None:
        """Write down that figures are logged, in a row."""
        self._now |= dict.fromkeys(names, step)
        self.rows += 1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with whole_text_file(self._path) as file:
            json.dump({"rows": self.rows, "steps": self._now}, file)

"""A run's folder: its resolved config, metrics, predictions, checkpoints and exported policy; continued, never mixed.

<run>/config.yaml  origin.json  metrics.json  overview.png  predictions.jsonl
<run>/checkpoints/<stage>/{last,done}.ckpt  policy/  logs/<stage>/
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from zoom_iqa.base.atomic_files import remove_parts, whole_text_file
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.lock import locked, require_free

CONFIG = "config.yaml"
METRICS, PREDICTIONS = "metrics.json", "predictions.jsonl"
LOCK = "run.lock"
SHOWN_DIFFERENCES = 10
_AGAIN = "remove it, and the run's own command makes it again"
MACHINE = "machine"
"""The key of a config under which nothing changes a result: a run continues with other values of it."""

FAILURE = "failed"
"""A file of a multirun's run that an error has ended; the run's next start removes it."""
Metrics = dict[str, dict[str, Any]]


class RunFolder:
    """Paths of a run and its small files. Whole files appear at once: a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, config_yaml: str) -> None:
        """Pass if the folder is free for a run of this config: as ``check_config``, and no run is going on there.

        Raises:
            ConfigError: it is not.
        """
        self.check_config(config_yaml)
        require_free(self.path / LOCK)

    def check_config(self, config_yaml: str) -> None:
        """Pass if the folder can be made, or holds a run of this config; its ``machine`` may be another one.

        Raises:
            ConfigError: nothing can be written there, or it holds a run of another config; the message shows the
                keys that differ in one line.
        """
        try:
            before = self._config_before()
        except (OSError, ValueError) as error:  # names too long, no right to look, bytes that are no text
            raise ConfigError(f"{self.path} cannot be a run's folder: {error}; choose another") from error
        if before is None:
            return
        try:
            changed = _differences(before, config_yaml)
        except (yaml.YAMLError, RecursionError) as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"{self.path / CONFIG} cannot be read: {said}; choose another folder") from error
        if changed:
            shown = "; ".join(changed[:SHOWN_DIFFERENCES]) + ("; ..." if len(changed) > SHOWN_DIFFERENCES else "")
            raise ConfigError(f"{self.path} holds a run of another config; choose another folder. {shown}")

    @contextmanager
    def opened(self, config_yaml: str) -> Iterator[None]:
        """Within the block the folder is this process's: made with its config, or continued where that is the same.

        Halves of files that a killed process left are gone.

        Raises:
            ConfigError: the folder cannot be made, holds a run of another config, or is another process's.
        """
        self.check_config(config_yaml)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path} cannot be made: {error}; choose another folder") from error
        with locked(self.path / LOCK):
            self.check_config(config_yaml)  # another may have been faster
            if (self.path / CONFIG).exists():
                remove_parts(self.path)
            else:
                _write(self.path / CONFIG, config_yaml)
            yield

    def _config_before(self) -> str | None:
        """The config of the run it holds, or None if it is new; ConfigError if nothing can be written there."""
        there = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise ConfigError(f"{self.path} cannot be a run's folder: {there} is not a folder one can write to")
        kept = self.path / CONFIG
        return kept.read_text(encoding="utf-8") if kept.exists() else None

    @property
    def predictions(self) -> Path:
        """Predictions of the last stage evaluated."""
        return self.path / PREDICTIONS

    @property
    def policy(self) -> Path:
        """The exported policy."""
        return self.path / "policy"

    def checkpoints(self, stage: str) -> Path:
        """The folder of a stage's checkpoints."""
        return self.path / "checkpoints" / stage

    def stage_predictions(self, stage: str) -> Path:
        """Predictions made after a stage."""
        return self.path / "evaluation" / stage / PREDICTIONS

    def dataset_predictions(self, name: str) -> Path:
        """Predictions that an evaluation made of a data set."""
        return self.path / name / PREDICTIONS

    def publish_predictions(self, stage: str) -> None:
        """Make a stage's predictions those of the run."""
        _write(self.predictions, self.stage_predictions(stage).read_text(encoding="utf-8"))

    def logs(self, stage: str) -> Path:
        """The folder that a stage's loggers write to."""
        return self.path / "logs" / stage

    def metrics(self) -> Metrics:
        """The metrics so far, by stage.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / METRICS
        return read_metrics(path) if path.exists() else {}

    def metrics_with_answers(self) -> Metrics:
        """Those of an evaluation's data sets whose answers are there: one whose file was removed is judged anew."""
        found = self.metrics()
        files = {name: self.dataset_predictions(name) for name in found}
        return {name: found[name] for name, file in files.items() if file.is_file() and file.stat().st_size}

    def write_origin(self, origin: Mapping[str, Any]) -> None:
        """Write down the command, versions and data sets of the start that is at hand."""
        _write(self.path / "origin.json", json.dumps(origin, indent=2, allow_nan=False) + "\n")

    def origin(self) -> dict[str, Any]:
        """Those of the last start; empty for a run of a version that kept none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / "origin.json"
        return _read(path) if path.exists() else {}

    def write_metrics(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the metrics."""
        _write(self.path / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def read_metrics(path: Path) -> Metrics:
    """The figures that a run has written, by stage or data set.

    Raises:
        DataError: the file is damaged.
    """
    metrics = _read(path)
    if not all(isinstance(figures, dict) for figures in metrics.values()):
        raise DataError(f"{path} does not hold figures by name; {_AGAIN}")
    return metrics


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); {_AGAIN}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no keys and values; {_AGAIN}")
    return found


def _write(path: Path, text: str) -> None:
    with whole_text_file(path) as file:
        file.write(text)


def _differences(before: str, now: str) -> list[str]:
    """A text for each value that is another one in two configs, but for those of the machine."""
    there, here = (dict(_leaves(yaml.safe_load(text), "")) for text in (before, now))
    keys = [key for key in {**there, **here} if key.partition(".")[0] != MACHINE]
    return [
        f"{key}: {there.get(key, 'nothing')} there, {here.get(key, 'nothing')} now"
        for key in keys
        if key not in there or key not in here or there[key] != here[key]
    ]


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value of a config by its dotted key; an empty mapping or list is a value."""
    below = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    if not below:
        yield path, node
    for key, value in below:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))

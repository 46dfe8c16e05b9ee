"""The contents of a run folder that reports read: its config and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.data.text_files import parse_json, read_text
from zoom_iqa.evaluation.figure_kinds import of_comparisons

Figures = dict[str, Any]
EVERYWHERE = ("n", "n_valid", "srcc", "plcc")
"""Figures of ratings that every version has written and every table reads."""


@dataclass(frozen=True)
class FinishedRun:
    """A folder's ``config.yaml`` and ``metrics.json``."""

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Figures]

    @property
    def trained(self) -> bool:
        """Whether it is a training run, whose figures are by stage; an evaluation's are by data set."""
        return "stages" in self.config

    @property
    def last_stage(self) -> str:
        """The last stage of a training run."""
        return str(self.config["stages"][-1])

    def predictions(self, name: str) -> Path:
        """The file of the answers that figures are of, by their key in ``metrics``: a stage, or a data set."""
        folder = RunFolder(self.path)
        return folder.stage_predictions(name) if self.trained else folder.dataset_predictions(name)

    @property
    def description(self) -> str:
        """The policy or peer that was run, how often, and on how much."""
        if "peer" in self.config:
            return f"{self.path}, peer {self.config['peer']['_target_'].rpartition('.')[2]}{self._limit}"
        policy = self.config["policy"]["path"]
        if self.trained:
            return f"{self.path}, trained from {policy}, after {self.last_stage}"
        return f"{self.path}, policy {policy}, trajectories per image {self.config['samples_per_image']}{self._limit}"

    @property
    def _limit(self) -> str:
        limit = self.config["limit"]
        return "" if limit is None else f", {limit} images of each data set at most"

    @property
    def by_dataset(self) -> dict[str, Figures]:
        """Figures by data set; of a training run those after its last stage.

        Raises:
            DataError: the last stage has none yet.
        """
        if not self.trained:
            return self.metrics
        if self.last_stage not in self.metrics:
            raise DataError(f"{self.path}: stage {self.last_stage} has no figures yet; let the run end first")
        if "benchmark" not in self.config:
            raise DataError(f"{self.path}: its config names no benchmark; evaluate its policy/ instead")
        return {self.config["benchmark"]["name"]: self.metrics[self.last_stage]}

    @property
    def rated(self) -> dict[str, Figures]:
        """``by_dataset`` of a run that rates.

        Raises:
            DataError: as there, or figures of ratings are missing.
        """
        found = self.by_dataset
        for name, figures in found.items():
            require_figures(self.path, name, figures, EVERYWHERE)
        return found


def read_run(path: Path) -> FinishedRun:
    """Read a folder.

    Raises:
        DataError: it is not a run's, or has no figures yet.
    """
    for name in ("config.yaml", "metrics.json"):
        if not (path / name).is_file():
            raise DataError(f"{path} has no {name}; give the folder of a run of zoom_iqa.train or zoom_iqa.evaluate")
    config, metrics = _mapping(path / "config.yaml", _yaml), _mapping(path / "metrics.json", parse_json)
    if not metrics:
        raise DataError(f"{path}: metrics.json is empty; let the run end first")
    if odd := [name for name, figures in metrics.items() if not isinstance(figures, Mapping)]:
        raise DataError(f"{path / 'metrics.json'} is damaged: {odd[0]} has no figures by name")
    _check(path, config)
    return FinishedRun(path, config, metrics)


def require_figures(path: Path, name: str, figures: object, required: Sequence[str]) -> None:
    """Pass figures in which nothing is missing that is read of them.

    Raises:
        DataError: one is.
    """
    missing = [key for key in required if not isinstance(figures, Mapping) or key not in figures]
    if missing:
        other = "it is damaged, or rates nothing"
        if isinstance(figures, Mapping) and of_comparisons(figures):
            other = f"it compares images: zoom-iqa report preferences {path}"
        raise DataError(f"{path / 'metrics.json'}: {name} has no {', '.join(missing)}; {other}")


def _check(path: Path, config: Mapping[str, Any]) -> None:
    policy = config.get("policy")
    if "peer" not in config and not (isinstance(policy, Mapping) and "path" in policy):
        raise DataError(f"{path / 'config.yaml'} is damaged: it names neither a policy nor a peer")
    read = (
        ("stages", "seed") if "stages" in config else ("limit",) if "peer" in config else ("limit", "samples_per_image")
    )
    if missing := [key for key in read if key not in config]:
        raise DataError(f"{path / 'config.yaml'} is damaged: it has no {', '.join(missing)}")


def _mapping(path: Path, parsed: Callable[[str], object]) -> dict[str, Any]:
    try:
        value = parsed(read_text(path))
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: it holds no keys and values")
    return value


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"no YAML ({' '.join(str(error).split())})") from None

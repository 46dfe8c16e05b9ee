"""A stage at Weights & Biases: one run a stage, which a stage that was stopped goes on with.

The run holds the resolved config, command, versions and data sets; figures stand over the stage's own steps.
"""

from __future__ import annotations

import netrc
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import wandb
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Mos, Preference
from zoom_iqa.training.logged_steps import LoggedSteps
from zoom_iqa.training.stage_logs import ShownTrajectory, StageFacts

Mode = Literal["online", "offline", "disabled", "shared"]
MODES: tuple[Mode, ...] = ("online", "offline", "disabled", "shared")
BEST_IS_HIGHEST = ("srcc", "plcc")
COLUMNS = ("picture", "id", "mos", "rating", "turns", "ending")
ARTIFACTS = ("policy", "report")
LOOK, DEFECT = 1, 2
CLASSES = {LOOK: "looked at", DEFECT: "known defect"}


@dataclass(frozen=True, kw_only=True)
class WandbLogRecipe:
    """All of a log but its stage; called with that, it makes the log. Without a key nothing is sent, which is said.

    ``group`` null is the run's name, or that of the sweep it is part of. ``artifacts`` are kinds of files that are
    kept: ``policy`` (the best one of validation, else the last) and ``report``, the run's page.

    Raises:
        ConfigError: there is no such artifact, or figures are to be sent and nobody is logged in.
    """

    project: str
    entity: str | None
    name: str
    group: str | None
    tags: Sequence[str]
    offline: bool
    artifacts: Sequence[str]

    def __post_init__(self) -> None:
        for kind in self.artifacts:
            if kind not in ARTIFACTS:
                raise ConfigError(f"logger.wandb.artifacts={kind}: choose from {', '.join(ARTIFACTS)}")
        if self.mode == "online" and not key_is_known():
            raise ConfigError(
                "logger.wandb: WANDB_MODE=online, and nobody is logged in; "
                "run `wandb login`, or set WANDB_MODE=offline to send nothing"
            )

    @property
    def mode(self) -> Mode:
        """``offline`` where it is set, else WANDB_MODE if that is set, else ``offline`` where there is no key."""
        if self.offline:
            return "offline"
        for mode in MODES:
            if mode == os.environ.get("WANDB_MODE"):
                return mode
        return "online" if key_is_known() else "offline"

    def __call__(self, *, facts: StageFacts) -> WandbLog:
        """The log of a stage."""
        return WandbLog(recipe=self, facts=facts)


class WandbLog(Logger):
    """Run ``<name>-<stage>``; the stage's folder keeps its id and which steps are logged.

    A step made again after a restart is not logged again: it would be the same.
    """

    def __init__(self, *, recipe: WandbLogRecipe, facts: StageFacts) -> None:
        super().__init__()
        self._recipe, self._facts = recipe, facts
        self._steps = LoggedSteps(facts.folder / "wandb_steps.json")
        self._run: Any = None
        self._defined: set[str] = set()

    @property
    def name(self) -> str:
        """The run's name."""
        return f"{self._recipe.name}-{self._facts.stage}"

    @property
    def version(self) -> str:
        """The run's id."""
        return _kept_id(self._facts.folder)

    @property
    def artifacts(self) -> Sequence[str]:
        """The kinds of files that are kept."""
        return self._recipe.artifacts

    @property
    def run(self) -> Any:
        """The run, begun or continued when it is first needed."""
        if self._run is None:
            facts, recipe = self._facts, self._recipe
            # beside an imported openai W&B advertises Weave in three lines of the terminal
            os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
            self._run = wandb.init(
                project=recipe.project,
                entity=recipe.entity,
                name=self.name,
                group=recipe.group or facts.group,
                job_type=facts.stage,
                tags=[*recipe.tags, facts.stage],
                id=self.version,
                resume="allow",
                config={**facts.config, "origin": facts.origin},
                dir=str(facts.folder),
                mode=recipe.mode,
                settings=wandb.Settings(silent=True, console="off"),
            )
            self._run.define_metric(facts.axis)
            if recipe.mode == "offline":
                kept = Path(self._run.dir).parent
                print(f"wandb: {self.name} stays on this machine; send it by `wandb sync {kept}`", file=sys.stderr)
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any) -> None:
        """The run has the whole config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log those figures that are not logged at this step yet."""
        assert step is not None, "figures stand at a step"
        fresh = self._steps.missing(metrics, step)
        if fresh:
            self._log({name: metrics[name] for name in fresh}, step)
            self._steps.add(fresh, step)

    @rank_zero_only
    def log_trajectories(self, title: str, shown: Sequence[ShownTrajectory], *, step: int) -> None:
        """A table of trajectories (ratings, reward terms, texts), and their pictures with the boxes looked at."""
        table, pictures = f"trajectories/{title}", f"pictures/{title}"
        if not self._steps.missing([table], step):
            return
        terms = list(dict.fromkeys(term for one in shown for term in one.record.rewards))
        columns: list[str | int] = [*COLUMNS, *(f"reward {term}" for term in terms), "text"]
        rows = [[_picture(one), *_cells(one.record, terms)] for one in shown]
        drawn = [_picture(one) for one in shown]
        self._log({table: wandb.Table(columns=columns, data=rows), pictures: drawn}, step)
        self._steps.add([table], step)

    @rank_zero_only
    def log_files(self, kind: str, path: Path) -> None:
        """An artifact of the run."""
        artifact = wandb.Artifact(f"{self.version}-{kind}", type=kind, metadata={"stage": self._facts.stage})
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def close(self, *, failed: bool) -> None:
        """End the run; a continued stage goes on in it."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))
            self._run = None

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        for name in values.keys() - self._defined:
            highest = {"summary": "max"} if name.rpartition("/")[2] in BEST_IS_HIGHEST else {}
            self.run.define_metric(name, step_metric=self._facts.axis, **highest)
            self._defined.add(name)
        self.run.log({**values, self._facts.axis: step}, step=self._steps.rows)  # rows go on where they ended


def key_is_known() -> bool:
    """Whether an environment variable, a settings file or ~/.netrc has a key."""
    settings = wandb.setup().settings
    if settings.api_key or settings.identity_token_file:
        return True
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
        return known.authenticators(urlsplit(settings.base_url).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _cells(record: Record, terms: Sequence[str]) -> list[Any]:
    """A row of the table, but for its picture."""
    target = record.example.target
    return [
        record.example.id,
        target.mean if isinstance(target, Mos) else target.choice if isinstance(target, Preference) else None,
        record.choice or record.rating,
        len(record.steps),
        record.ending.value,
        *(record.rewards.get(term) for term in terms),
        "\n\n".join(step.text for step in record.steps),
    ]


def _picture(shown: ShownTrajectory) -> wandb.Image:
    """The image; boxes that were looked at and the region that is known lie over it and can be switched off."""
    boxes = [_box(look, LOOK, f"look {number}") for number, look in enumerate(_looks(shown.record), 1)]
    truth = shown.record.example.truth
    if truth is not None and truth.region is not None:
        width, height = shown.image.size
        sides = (width, height, width, height)
        region = tuple(fraction * side for fraction, side in zip(truth.region, sides, strict=True))
        boxes.append(_box(region, DEFECT, str(truth.distortion)))
    people = f"people {shown.record.example.mos:.2f}" if isinstance(shown.record.example.target, Mos) else ""
    return wandb.Image(
        shown.image,
        caption=f"{shown.record.example.id}: {shown.record.choice or shown.record.rating} {people}",
        boxes={"looks": {"box_data": boxes, "class_labels": CLASSES}} if boxes else None,
    )


def _looks(record: Record) -> list[tuple[int, int, int, int]]:
    return [look.box for step in record.steps for look in step.looks if look.box is not None]


def _box(corners: Sequence[float], kind: int, caption: str) -> dict[str, Any]:
    x1, y1, x2, y2 = (round(corner) for corner in corners)
    return {
        "position": {"minX": x1, "minY": y1, "maxX": x2, "maxY": y2},
        "domain": "pixel",
        "class_id": kind,
        "box_caption": caption,
    }


def _kept_id(folder: Path) -> str:
    path = folder / "wandb_id"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
    return path.read_text(encoding="utf-8")

"""The view of a project at Weights & Biases: which charts its workspace has, and in what sections."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoom_iqa.base.errors import ConfigError

ROLLOUTS, STEPS = "rollout_step", "optimizer_step"


@dataclass(frozen=True)
class Chart:
    """A line chart: its title, the figures in it by name or pattern, and what they stand over."""

    title: str
    figures: tuple[str, ...] = ()
    pattern: str | None = None
    over: str = ROLLOUTS


SECTIONS: dict[str, tuple[Chart, ...]] = {
    "Correlations": (
        Chart("SRCC on validation images", pattern="^val/.*/srcc$"),
        Chart("PLCC on validation images", pattern="^val/.*/plcc$"),
        Chart("SRCC on validation images, SFT", pattern="^val/.*/srcc$", over=STEPS),
        Chart("SRCC after the stage", pattern="^eval/.*/srcc$"),
        Chart("PLCC after the stage", pattern="^eval/.*/plcc$"),
    ),
    "Rewards": (
        Chart("reward and its unweighted terms", pattern="^reward/.*"),
        Chart("contrast within groups", ("reward/group_std", "reward/flat_groups")),
        Chart("negative log-likelihood of SFT", ("sft/nll", "sft/nll_numeric"), over=STEPS),
    ),
    "Collapse watch": (
        Chart("distinct ratings an image", ("rollout/distinct_ratings_per_image",)),
        Chart("entropy", ("rollout/entropy",)),
        Chart("crops, form, readability", ("rollout/crop_rate", "rollout/format_rate", "rollout/valid_rate")),
        Chart("unreadable, by reason", pattern="^rollout/failed_.*"),
        Chart("divergence", pattern="^.*/kl$"),
        Chart("length", ("rollout/tokens_per_turn", "rollout/truncated_rate")),
        Chart("gradient norm", ("policy/grad_norm",)),
    ),
    "Speed": (
        Chart("seconds by phase", pattern="^seconds/.*"),
        Chart("images and tokens a second", pattern="^speed/.*"),
        Chart("memory", ("memory/peak",)),
        Chart("learning rate", ("lr",)),
    ),
}


def workspace(*, entity: str, project: str) -> Any:
    """The workspace as ``wandb_workspaces`` has it, not saved yet.

    Raises:
        ConfigError: the package is not installed.
    """
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise ConfigError("the workspace needs a package; run `pip install -c constraints.txt -e '.[workspace]'`")
    views = importlib.import_module("wandb_workspaces.workspaces")
    panels = importlib.import_module("wandb_workspaces.reports.v2")
    return views.Workspace(
        entity=entity,
        project=project,
        name="zoom_iqa",
        sections=[
            views.Section(name=name, panels=_lines(panels, charts), is_open=True) for name, charts in SECTIONS.items()
        ],
    )


def _lines(panels: Any, charts: Sequence[Chart]) -> list[Any]:
    return [
        panels.LinePlot(title=chart.title, x=chart.over, y=list(chart.figures), metric_regex=chart.pattern)
        for chart in charts
    ]

"""The figures that a stage has logged, as charts: which belong together, and in what order they are looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.reports.contents import LogRow


@dataclass(frozen=True)
class Panel:
    """A chart: its title, the unit of its axis, and a pattern that the names of its figures match."""

    title: str
    unit: str
    pattern: str


PANELS = (
    Panel("Reward, and its unweighted terms", "reward", r"reward/(?!group_std$|flat_groups$).*"),
    Panel("Rungs of the curriculum", "reward", r"curriculum/(name|locate|rate|rank)"),
    Panel("Weights and gates of the curriculum", "", r"curriculum/.*"),
    Panel("Agreement on validation images", "correlation", r"val/.*/(srcc|plcc)(_midpoint|_expected)?"),
    Panel("Pairs in the right order on validation images", "share", r"val/.*/pair_accuracy(_sd)?"),
    Panel("Negative log-likelihood of written answers", "nats a token", r"sft/nll.*"),
    Panel("Divergence", "nats", r".*/(kl|approx_kl)"),
    Panel("Entropy of the answers", "nats", r"rollout/entropy"),
    Panel(
        "Crops, form and readability",
        "share of rollouts",
        r"rollout/(crop|format|valid|routing_warning|clipped_rating|clipped)_rate",
    ),
    Panel("Unreadable answers by reason", "share of rollouts", r"rollout/failed_.*"),
    Panel("Length", "tokens a turn", r"rollout/tokens_per_turn"),
    Panel("Turns cut at the token limit", "share of turns", r"rollout/truncated_rate"),
    Panel("Ratings", "1-5", r"rollout/rating"),
    Panel("Distinct ratings", "per image", r"rollout/distinct_ratings_per_image"),
    Panel("Contrast within groups", "reward, share", r"reward/(group_std|flat_groups)"),
    Panel("Rates on validation images", "share", r"val/.*"),
    Panel("Loss of the policy", "", r"policy/loss"),
    Panel("Gradient norm before clipping", "", r".*/grad_norm"),
    Panel("Learning rate", "", r"lr"),
    Panel("Seconds by phase", "seconds a step", r"seconds/.*"),
    Panel("Speed", "a second", r"speed/.*"),
    Panel("Memory at its peak", "GB", r"memory/.*"),
    Panel("Ratio to the sampling policy", "", r"policy/ratio_.*"),
    Panel("Clipped tokens", "share", r"policy/clip_fraction"),
    Panel("Gap between sampler and training", "nats", r"policy/(sampler_gap.*|old_recomputed)"),
    Panel("Tokens chosen by penalties and filters", "tokens", r".*/(candidates|selected|kept|dropped)"),
    Panel("Dependency on evidence", "", r".*/dependency_.*"),
    Panel("Probes: questions about finished rollouts", "", r"probe/.*"),
    Panel("Covariance of the chosen tokens", "nats x reward", r".*/selected_covariance"),
    Panel("Requests to the judge, their tokens and money", "", r"judge/(requests|.*_tokens|money)"),
    Panel("Answers asked about, and without grades", "share", r"judge/(asked|failed_.*)"),
    Panel("Grades of the judge", "1-9", r"judge/.*"),
    Panel("Steps left out: not finite", "steps", r".*/skipped_steps"),
    Panel("Everything else", "", r".*"),
)
"""A figure is drawn in the first panel that it matches, and none is left out."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A figure over the steps that have it; a value that is not finite is None, a gap in the line."""

    name: str
    steps: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A panel with the figures that a stage has for it."""

    title: str
    unit: str
    series: tuple[Series, ...]


def charts_of(rows: Sequence[LogRow]) -> list[Chart]:
    """The charts of a stage's log; those without a figure are left out, and so are figures that are always 0."""
    names = dict.fromkeys(name for row in rows for name in row if name != "step")
    by_panel: dict[Panel, list[Series]] = {panel: [] for panel in PANELS}
    for name in names:
        found = _series(name, rows)
        if any(found.values):
            by_panel[panel_of(name)].append(found)
    return [Chart(title=p.title, unit=p.unit, series=tuple(found)) for p, found in by_panel.items() if found]


def panel_of(name: str) -> Panel:
    """The panel that a figure is drawn in."""
    return next(panel for panel in PANELS if re.fullmatch(panel.pattern, name))


def _series(name: str, rows: Sequence[LogRow]) -> Series:
    having = [row for row in rows if name in row]
    values = (row[name] for row in having)
    return Series(
        name=name,
        steps=tuple(row["step"] for row in having),
        values=tuple(value if math.isfinite(value) else None for value in values),
    )

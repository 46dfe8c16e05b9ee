"""Panels of an overview for runs that compare images: accuracy, kinds of pairs, choices by label, order bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from zoom_iqa.base.targets import CHOICES
from zoom_iqa.evaluation.preferences import UNREADABLE
from zoom_iqa.reports.contents import Judged

BAR, CONTROL = "#0b7285", "#d9480f"
SHADES = ("#0b7285", "#66a5ad", "#ced4da", "#d9480f")


def accuracy_panel(axes: Axes, judged: Sequence[Judged]) -> None:
    """Accuracy by evaluation with its interval, and the control that gives the commonest label."""
    _points(axes, [(one.name, one.figures, "accuracy") for one in judged])
    always = judged[-1].figures["accuracy_always"]
    axes.axhline(always, color=CONTROL, linestyle=":", linewidth=1, label=f"commonest label {always:.3f}")
    axes.legend(fontsize=8)
    _named(axes, "accuracy, 95 % intervals")


def kinds_panel(axes: Axes, judged: Judged) -> None:
    """Accuracy of all pairs and of each kind of the last evaluation."""
    kinds = [key for key in judged.figures if key.startswith("accuracy_") and f"{key}_interval" in judged.figures]
    titles = {"accuracy": "all", **{key: key.removeprefix("accuracy_") for key in kinds}}
    _points(axes, [(title, judged.figures, key) for key, title in titles.items()])
    _named(axes, f"{judged.name}: accuracy by kind of pair")


def choices_panel(axes: Axes, judged: Judged) -> None:
    """How often each answer was given under each label."""
    counted = judged.figures["choices_by_label"]
    below = [0] * len(CHOICES)
    for choice, shade in zip((*CHOICES, UNREADABLE), SHADES, strict=True):
        heights = [counted[label][choice] for label in CHOICES]
        axes.bar(range(len(CHOICES)), heights, bottom=below, color=shade, label=choice)
        below = [one + height for one, height in zip(below, heights, strict=True)]
    axes.set_xticks(range(len(CHOICES)), [f"people: {label}" for label in CHOICES])
    axes.legend(fontsize=8)
    _named(axes, "answers by people's preference")


def order_panel(axes: Axes, judged: Sequence[Judged]) -> None:
    """The share of answers that flip with the order, by evaluation."""
    _points(axes, [(one.name, one.figures, "order_flip_rate") for one in judged])
    _named(axes, "order bias: answers that flip")


def _points(axes: Axes, named: Sequence[tuple[str, Mapping[str, Any], str]]) -> None:
    for place, (_, figures, key) in enumerate(named):
        value, interval = figures.get(key), figures.get(f"{key}_interval")
        if not isinstance(value, float):
            continue
        ends = (interval["low"], interval["high"]) if isinstance(interval, Mapping) else (value, value)
        axes.errorbar(place, value, yerr=[[max(0.0, value - ends[0])], [max(0.0, ends[1] - value)]], fmt="o", color=BAR)
        axes.annotate(f"{value:.3f}", (place, value), xytext=(6, 0), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(named)), [name for name, _, _ in named], parse_math=False)
    axes.set_xlim(-0.5, len(named) - 0.5)
    axes.set_ylim(0, 1)


def _named(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)

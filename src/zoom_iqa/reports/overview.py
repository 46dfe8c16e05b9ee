"""A run at a glance as a PNG, drawn beside ``metrics.json`` whenever that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.metrics.diversity import RATING_RANGE
from zoom_iqa.reports.contents import Judged, LogRow, RunContents, read_contents
from zoom_iqa.reports.preference_panels import accuracy_panel, choices_panel, kinds_panel, order_panel

OVERVIEW = "overview.png"
OWN, PEOPLE, QUIET = "#0b7285", "#d9480f", "#adb5bd"
SHARES = {"rollout/crop_rate": "crop", "rollout/format_rate": "format", "rollout/valid_rate": "valid"}
LINES = ((OWN, "-"), (PEOPLE, "-"), (QUIET, ":"))  # rates that are equal, as at 1, show both
LEARNING = {"reward/total": OWN, "sft/nll": "#868e96"}
OUTWARDS = np.array([[-1.0], [1.0]])
"""The signs of an interval's ends, seen from its value."""
MOST_UPRIGHT = 4
"""Evaluations whose names and figures have room beside each other; of more, names are turned and figures left out."""
INCHES_A_COLUMN, INCHES_HIGH, DOTS_PER_INCH = 4.0, 6.8, 100


def write_overview(path: Path) -> Path:
    """Draw the run in the folder ``path`` into its ``overview.png``; returns where that is.

    Raises:
        DataError: the folder is not a run's, or has no figures yet.
    """
    target = path / OVERVIEW
    with whole_binary_file(target) as file:
        FigureCanvasAgg(drawn(read_contents(path))).print_png(file)
    return target


def drawn(contents: RunContents) -> Figure:
    """Four panels: agreement, its figure by evaluation, scores, errors; and of training the reward and the rates.

    Of comparisons: accuracy by evaluation and by kind of pair, choices by label, and order bias.
    """
    columns = 3 if contents.run.trained else 2
    figure = Figure(figsize=(INCHES_A_COLUMN * columns, INCHES_HIGH), dpi=DOTS_PER_INCH, layout="constrained")
    figure.suptitle(contents.name, x=0.01, ha="left", parse_math=False)
    first, second, third, fourth, *of_training = figure.subplots(2, columns).flat
    last = contents.judged[-1]
    if last.compares:
        accuracy_panel(first, contents.judged)
        kinds_panel(second, last)
        choices_panel(third, last)
        order_panel(fourth, contents.judged)
    else:
        _scatter(first, last)
        _correlations(second, contents.judged)
        _histogram(third, last)
        _errors(fourth, last)
    if of_training:
        _learning(of_training[0], contents.logs)
        _shares(of_training[1], contents.logs)
    return figure


def _scatter(axes: Axes, judged: Judged) -> None:
    rated = [(image.trajectories[0].example.mos, image.rating) for image in judged.images if image.rating is not None]
    if judged.on_mos_scale:
        axes.plot(RATING_RANGE, RATING_RANGE, color=QUIET, linewidth=1, linestyle=":")
    axes.scatter([mos for mos, _ in rated], [rating for _, rating in rated], s=10, color=OWN, alpha=0.6, linewidths=0)
    _named(axes, f"{judged.name}: {len(rated)} of {len(judged.images)} images", "opinion score", "rating")


def _correlations(axes: Axes, judged: Sequence[Judged]) -> None:
    crowded = len(judged) > MOST_UPRIGHT
    for shift, (key, color) in enumerate({"srcc": OWN, "plcc": PEOPLE}.items()):
        defined = [(place, one.figures) for place, one in enumerate(judged) if isinstance(one.figures[key], float)]
        places = [place + 0.12 * (2 * shift - 1) for place, _ in defined]
        values = [figures[key] for _, figures in defined]
        ends = [_interval(figures[f"{key}_interval"], figures[key]) for _, figures in defined]
        axes.errorbar(
            places,
            values,
            yerr=(OUTWARDS * (np.array(ends).reshape(-1, 2).T - np.array(values))).clip(min=0),
            fmt="o",
            color=color,
            label=f"{key.upper()}{' (raw)' if key == 'plcc' else ''}",
        )
        away, side = 6 * (2 * shift - 1), ("right", "left")[shift]  # from the other's point
        for place, value in () if crowded else zip(places, values, strict=True):
            label = f"{value:.3f}"
            axes.annotate(label, (place, value), xytext=(away, 0), textcoords="offset points", fontsize=8, ha=side)
    names = [one.name for one in judged]
    axes.set_xticks(range(len(judged)), names, parse_math=False)
    if crowded:
        axes.tick_params("x", rotation=30)
    axes.set_xlim(-0.5, len(judged) - 0.5)
    _named(axes, "agreement, 95 % intervals", "", "")
    below = -0.22 if crowded else -0.08
    axes.legend(fontsize=8, loc="upper center", ncols=2, bbox_to_anchor=(0.5, below), frameon=False)


def _histogram(axes: Axes, judged: Judged) -> None:
    edges = np.linspace(*RATING_RANGE, len(judged.figures["mos_histogram"]) + 1)
    for key, color, title in (("mos_histogram", PEOPLE, "opinion scores"), ("score_histogram", OWN, "ratings")):
        if isinstance(judged.figures[key], list):
            axes.stairs(judged.figures[key], edges, fill=True, color=color, alpha=0.45, label=title)
    _named(axes, "scores", "1-5", "images")
    axes.legend(fontsize=8)


def _errors(axes: Axes, judged: Judged) -> None:
    rated = [(image.trajectories[0].example.mos, image.rating) for image in judged.images if image.rating is not None]
    if judged.on_mos_scale and rated:
        mos, errors = np.array([m for m, _ in rated]), np.array([rating - m for m, rating in rated])
        axes.axhline(0, color=QUIET, linewidth=1)
        axes.scatter(mos, errors, s=6, color=QUIET, linewidths=0, label="an image")
        bins = np.clip(((mos - 1) / 0.5).astype(int), 0, 7)
        places = np.unique(bins)
        means, spreads = ([function(errors[bins == place]) for place in places] for function in (np.mean, _spread))
        label = "mean and spread by half a point"
        axes.errorbar(1.25 + 0.5 * places, means, yerr=spreads, fmt="o", color=OWN, capsize=3, label=label)
        axes.legend(fontsize=8)
    _named(axes, "error by opinion score", "opinion score", "rating - MOS")


def _spread(values: NDArray[np.float64]) -> float:
    """The sample's standard deviation, as on the page; 0 of one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _learning(axes: Axes, logs: Mapping[str, Sequence[LogRow]]) -> None:
    """The loss of supervised stages and the reward, stage after stage."""
    _named(axes, "training", "step, stages in turn", "")
    logged = [key for key in LEARNING if any(key in row for rows in logs.values() for row in rows)]
    sides = [axes, axes.twinx()] if len(logged) > 1 else [axes] * len(logged)
    for key, side in zip(logged, sides, strict=True):
        begins = 0.0
        for rows in logs.values():
            _line(side, rows, key, key, LEARNING[key], begins=begins)
            begins += rows[-1]["step"] + 1
        side.set_ylabel(key, color=LEARNING[key], fontsize=9)
        side.tick_params(labelsize=8)
    if not logged:
        _legend(axes)


def _shares(axes: Axes, logs: Mapping[str, Sequence[LogRow]]) -> None:
    for rows in logs.values():
        for (key, title), (color, style) in zip(SHARES.items(), LINES, strict=True):
            _line(axes, rows, key, title, color, style=style)
    _named(axes, "rollouts", "step", "share")
    _legend(axes)


def _line(
    axes: Axes, rows: Sequence[LogRow], key: str, title: str, color: str, *, begins: float = 0.0, style: str = "-"
) -> None:
    having = [row for row in rows if key in row]
    if having:
        steps, values = [begins + row["step"] for row in having], [row[key] for row in having]
        axes.plot(steps, values, color=color, linestyle=style, label=title)


def _legend(axes: Axes) -> None:
    if axes.lines:
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "nothing was logged", ha="center", color=QUIET, transform=axes.transAxes)


def _interval(interval: object, value: float) -> tuple[float, float]:
    return (interval["low"], interval["high"]) if isinstance(interval, Mapping) else (value, value)


def _named(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)

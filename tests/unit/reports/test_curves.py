"""Every logged figure is drawn, in the chart of its kind."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from zoom_iqa.reports.curves import PANELS, charts_of, panel_of

FIGURES_PAGE = Path(__file__).resolve().parents[3] / "docs" / "figures.md"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("reward/total", "Reward, and its unweighted terms"),
        ("reward/no_sliver", "Reward, and its unweighted terms"),
        ("reward/group_std", "Contrast within groups"),
        ("kl_coverage/kl", "Divergence"),
        ("policy/approx_kl", "Divergence"),
        ("val/koniq/plcc", "Agreement on validation images"),
        ("val/koniq/srcc_midpoint", "Agreement on validation images"),
        ("val/koniq/srcc_expected", "Agreement on validation images"),
        ("val/koniq/pair_accuracy_sd", "Pairs in the right order on validation images"),
        ("val/koniq/crop_rate", "Rates on validation images"),
        ("rollout/failed_bad_bbox", "Unreadable answers by reason"),
        ("sft/grad_norm", "Gradient norm before clipping"),
        ("my/own", "Everything else"),
    ],
)
def test_a_figure_has_the_chart_of_its_kind(name: str, title: str) -> None:
    assert panel_of(name).title == title


def test_figures_but_few_have_a_chart_of_a_kind() -> None:
    training = FIGURES_PAGE.read_text(encoding="utf-8").partition("\n## Training log\n")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `([^`]+)`", training, re.MULTILINE)
    others = {name for name in names if panel_of(name.replace("<", "").replace(">", "")) is PANELS[-1]}
    assert len(names) > 40
    assert len(others) < 0.1 * len(names), others


def test_charts_hold_each_figure_at_the_steps_that_have_it() -> None:
    failed = "rollout/failed_bad_tool"
    rows = [{"step": 0.0, "lr": 0.1, failed: 0.0}, {"step": 1.0}, {"step": 2.0, "lr": math.nan}]
    (chart,) = charts_of(rows)  # a failure that never happened has no chart
    (series,) = chart.series
    assert (chart.title, series.name) == ("Learning rate", "lr")
    assert (series.steps, series.values) == ((0.0, 2.0), (0.1, None))

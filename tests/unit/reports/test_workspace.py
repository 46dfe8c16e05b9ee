"""The workspace of a project: its sections, and that its charts are of figures that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.report import report
from zoom_iqa.reports.workspace import SECTIONS, workspace

FIGURES_PAGE = (Path(__file__).resolve().parents[3] / "docs" / "figures.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package itself


def test_it_has_the_sections_that_are_looked_at() -> None:
    pytest.importorskip("wandb_workspaces", reason="needs wandb-workspaces (extra workspace)")
    made = workspace(entity="team", project="quality")
    assert (made.entity, made.project) == ("team", "quality")
    assert [section.name for section in made.sections] == ["Correlations", "Rewards", "Collapse watch", "Speed"]
    spec = json.loads(made._to_model().model_dump_json(by_alias=True))["spec"]
    panels = [panel for section in spec["section"]["panelBankConfig"]["sections"] for panel in section["panels"]]
    assert len(panels) == sum(map(len, SECTIONS.values()))
    assert {panel["config"]["xAxis"] for panel in panels} == {"rollout_step", "optimizer_step"}
    (entropy,) = [panel["config"] for panel in panels if panel["config"]["chartTitle"] == "entropy"]
    assert entropy["metrics"] == ["rollout/entropy"]
    (validated,) = [p["config"] for p in panels if p["config"]["chartTitle"] == "SRCC on validation images"]
    assert validated["metricRegex"] == "^val/.*/srcc$"


def test_every_chart_shows_a_figure_that_is_logged() -> None:
    training = FIGURES_PAGE.partition("\n## Training log\n")[2].partition("\n## ")[0]
    names = {name.replace("<data set>", "koniq") for name in re.findall(r"`([^`\s]+(?: set>[^`]*)?)`", training)}
    names |= {name.replace("val/", "eval/") for name in names if name.startswith("val/")}
    for chart in (chart for charts in SECTIONS.values() for chart in charts):
        assert set(chart.figures) <= names
        if chart.pattern is not None:
            assert any(re.search(chart.pattern, name) for name in names), chart.pattern


def test_what_keeps_it_from_being_saved_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    class Unsaved:
        def save(self) -> None:
            raise wandb.errors.CommError("no\nnetwork")

    monkeypatch.setattr("zoom_iqa.reports.workspace.workspace", lambda entity, project: Unsaved())
    with pytest.raises(ConfigError, match=r"^the workspace cannot be saved \(no network\); run `wandb login`"):
        report(["workspace", "--entity", "team"])

"""The overview that every run draws: six panels of the figures in its folder, whatever is missing in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.made_run_folder import UNREADABLE, answer, run_folder
from zoom_iqa.reports.contents import read_contents
from zoom_iqa.reports.overview import drawn, write_overview

ROWS = [{"step": n, "reward/total": 2.0 + n, "rollout/crop_rate": 0.5} for n in range(4)]


def test_it_is_drawn_from_the_folder(tmp_path: Path) -> None:
    records = [answer(f"i{n}", 1 + n / 5, 1.2 + n / 5) for n in range(12)]
    losses = [{"step": n, "sft/nll": 1.0 - n / 10} for n in range(6)]
    folder = run_folder(tmp_path / "run", {"sft": records, "grpo": records}, logs={"sft": losses, "grpo": ROWS})
    figure = drawn(read_contents(folder))
    scatter, correlations, _, _, training, rollouts, loss = figure.axes
    points = np.asarray(scatter.collections[0].get_offsets())
    assert points == pytest.approx(np.array([[1 + n / 5, 1.2 + n / 5] for n in range(12)]))
    assert [label.get_text() for label in correlations.get_xticklabels()] == ["sft", "grpo"]
    assert {text.get_text() for text in correlations.texts} == {"1.000"}
    assert [list(line.get_ydata()) for line in training.lines] == [[2.0, 3.0, 4.0, 5.0]]
    assert list(training.lines[0].get_xdata()) == [6, 7, 8, 9]  # after the six steps of sft
    assert len(loss.lines) == len(rollouts.lines) == 1
    with Image.open(write_overview(folder)) as image:
        assert image.size == (1200, 680)


@pytest.mark.parametrize(
    "records",
    [
        [answer("a", 3.0, UNREADABLE)],
        [answer("a", 3.0, 2.0), answer("b", 2.0, 2.0)],  # constant: no correlation
    ],
)
def test_it_is_drawn_where_figures_are_undefined(records: list, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": records}, config={"name": "$1$ <b>"})
    assert write_overview(folder).stat().st_size > 1000

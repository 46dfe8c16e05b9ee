"""The overview that every run draws: six panels of the figures in its folder, whatever is missing in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.made_run_folder import UNREADABLE, answer, on_own_scale, run_folder
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


def test_an_error_is_the_rating_minus_the_opinion_score(tmp_path: Path) -> None:
    """Errors of 0.5 and 0.3 at scores from 1 to 1.5, and of -1 at one above 4.5."""
    records = [answer("a", 1.2, 1.7), answer("b", 1.4, 1.7), answer("c", 4.8, 3.8)]
    errors = drawn(read_contents(run_folder(tmp_path / "run", {"sft": records}))).axes[3]
    points = np.asarray(errors.collections[0].get_offsets())
    assert points == pytest.approx(np.array([[1.2, 0.5], [1.4, 0.3], [4.8, -1.0]]))
    means = errors.containers[0].lines[0]
    assert list(zip(means.get_xdata(), means.get_ydata(), strict=True)) == [
        (1.25, pytest.approx(0.4)),
        (4.75, pytest.approx(-1.0)),
    ]


def test_an_interval_goes_from_its_low_end_to_its_high_one(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": [answer(f"i{n}", 1.5 + n, 1.5 + n) for n in range(3)]})
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["sft"] |= {"srcc": 0.5, "srcc_interval": {"low": 0.2, "high": 0.6}}
    metrics["sft"] |= {"plcc": 0.4, "plcc_interval": {"low": -0.1, "high": 0.7}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    correlations = drawn(read_contents(folder)).axes[1]
    ends = [container.lines[2][0].get_segments()[0][:, 1] for container in correlations.containers]
    assert ends == [pytest.approx([0.2, 0.6]), pytest.approx([-0.1, 0.7])]


def test_scores_on_a_scale_of_their_own_have_neither_bars_nor_errors(tmp_path: Path) -> None:
    records = [answer(f"i{n}", 1.5 + n, 1.5 + n) for n in range(3)]
    contents = read_contents(on_own_scale(run_folder(tmp_path / "run", {"sft": records})))
    _, _, histogram, errors, *_ = drawn(contents).axes
    assert [text.get_text() for text in histogram.get_legend().get_texts()] == ["opinion scores"]
    assert not errors.collections

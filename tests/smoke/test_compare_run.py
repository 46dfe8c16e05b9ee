"""A run of task=compare from its config: trained on pairs, judged on pairs, continued; mistakes end before a policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.small_run import composed, metrics_of, rows, save_policy, small_run
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec
from zoom_iqa.base.targets import CHOICES
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.config.training_run import train

COMPARE = [
    "task=compare",
    "data=embedded_pairs",
    "reward=compare",
    "penalties=kl_reference",
    "data.train.size=12",
    "data.train.images.size=400",
    "data.test.size=4",
    "rollout._target_=support.written_engine.ComparingEngine",
    "grpo.steps=2",
    "sft.steps=2",
]


def test_a_run_compares(tmp_path: Path) -> None:
    run = tmp_path / "run"
    small_run(run, save_policy(tmp_path), *COMPARE)
    for figures in metrics_of(run).values():
        assert (figures["n"], figures["n_pairs"]) == (8, 4)
        assert 0 <= figures["accuracy"] <= 1
        assert figures["mean_reward"] == pytest.approx(figures["accuracy"] + figures["format_rate"])
    records = RecordFile(run / "predictions.jsonl", RecordCodec()).read()
    assert {record.choice for record in records} <= {*CHOICES, None}
    assert len({record.example.id for record in records}) == 8
    last = rows(run, "grpo")[-1]
    shares = [float(last[f"rollout/choice_{name}"]) for name in ("first", "second", "similar")]
    assert sum(shares) == pytest.approx(1)
    assert (run / "overview.png").stat().st_size > 10_000
    assert "names the better of two images, and says why" in (run / "policy" / "README.md").read_text()
    assert rows(run, "sft")[-1]["sft/nll"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data=embedded"], "task=compare asks about two images, and .* use pairs"),
        (["task=zoom"], "the task asks about one image, and .* have several; use task=compare"),
        (["reward=full"], r"reward\.score needs opinion scores.*use reward=compare"),
        (["resampling=progressive"], "preferences between images have no scores to weigh by; use natural"),
        (["callbacks=validation"], r"monitor=pair_accuracy: embedded_pairs is labelled by .*use accuracy"),
        (["optimized_metric=grpo.pair_accuracy"], r"grpo\.pair_accuracy: embedded_pairs is labelled by .*use accuracy"),
        (["task.reference=true"], "asks about a reference and two images"),
    ],
)
def test_parts_that_do_not_go_together_end_in_a_line(
    overrides: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["rollout=transformers", *COMPARE, "machine.workers=0", "policy.path=nowhere", f"paths.run_dir={tmp_path}"]
    if overrides == ["data=embedded"]:
        given = [one for one in given if not one.startswith(("data.", "data="))]
    with pytest.raises(SystemExit), expected_errors():
        train(composed(*given, *overrides), tmp_path)
    assert re.search(said, capsys.readouterr().err)

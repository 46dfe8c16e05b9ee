"""Evaluation inside training: it changes nothing that is learned, logs where it should, keeps the best, and stops."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import Qwen2_5_VLForConditionalGeneration

from support.changed_steps import acting_before, killed
from support.made_rollouts import record
from support.small_run import metrics_of, rows, save_policy, small_run, weights_of
from zoom_iqa.base.errors import ConfigError, StoppedError
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.parallel.stopping import stoppable
from zoom_iqa.training.grpo import GRPOModule
from zoom_iqa.training.validation import BenchmarkEvaluation

VALIDATION = ["callbacks=validation", "callbacks.validation.every=2", "data.val.size=5"]
FIGURES = {
    f"val/embedded/{name}"
    for name in (
        "pair_accuracy",
        "pair_accuracy_sd",
        "srcc_midpoint",
        "plcc_midpoint",
        "srcc",
        "plcc",
        "rating_variance",
        "expected_spread",
        "unique_score_ratio",
        "crop_rate",
        "valid_rate",
        "format_rate",
    )
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def plain(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("plain") / "run"
    small_run(run, policy)
    return run


@pytest.fixture(scope="module")
def validated(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the plain run, with evaluations and Weights & Biases."""
    run = tmp_path_factory.mktemp("validated") / "run"
    small_run(run, policy, *VALIDATION, "logger=[csv,wandb]")
    return run


def test_training_is_the_same_with_and_without(plain: Path, validated: Path) -> None:
    for stage in ("sft", "grpo"):
        found, expected = weights_of(validated, stage), weights_of(plain, stage)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        for row, plain_row in zip(rows(validated, stage), rows(plain, stage), strict=True):
            assert {name: value for name, value in row.items() if not name.startswith("val/")} == plain_row
    assert metrics_of(validated) == metrics_of(plain)


def test_figures_stand_in_the_row_of_the_step_just_made(validated: Path) -> None:
    for stage in ("sft", "grpo"):
        log = rows(validated, stage)
        assert log[0].keys() >= FIGURES
        assert [row["step"] for row in log if row["val/embedded/srcc"]] == ["1", "3"]
        assert all(-1 <= float(row["val/embedded/srcc"]) <= 1 for row in (log[1], log[3]))
        predictions = validated / "logs" / stage / "validation" / "embedded"
        assert {path.name for path in predictions.iterdir()} == {"step-000001.jsonl", "step-000003.jsonl"}
        lines = [json.loads(line) for line in (predictions / "step-000003.jsonl").read_text().splitlines()]
        assert len({line["id"] for line in lines}) == 5
        assert len({(line["id"], line["sample"]) for line in lines}) == len(lines) == 20  # four answers each


def test_the_best_policy_is_kept_whole(validated: Path) -> None:
    for stage in ("sft", "grpo"):
        deciding = "val/embedded/pair_accuracy"
        log = {int(row["step"]): float(row[deciding]) for row in rows(validated, stage) if row[deciding]}
        (kept,) = (validated / "logs" / stage / "best").iterdir()
        assert kept.name == f"step-{max(log, key=lambda step: log[step]):06d}"
        model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(kept, output_loading_info=True)
        assert not report["missing_keys"]
        if kept.name == "step-000003":  # the last one
            last = weights_of(validated, stage)
            assert all(torch.equal(value, last[f"model.{name}"]) for name, value in model.state_dict().items())


def test_a_stopped_run_goes_on_to_the_same_figures(
    policy: Path, validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*VALIDATION, "logger=[csv,wandb]"]
    with monkeypatch.context() as patched:
        patched.setattr(GRPOModule, "training_step", acting_before(GRPOModule.training_step, 3, killed))
        with pytest.raises(RuntimeError, match="killed"):
            small_run(tmp_path / "run", policy, *settings)
    small_run(tmp_path / "run", policy, *settings)
    for stage in ("sft", "grpo"):
        assert rows(tmp_path / "run", stage) == rows(validated, stage)
        kept = [
            [path.name for path in (run / "logs" / stage / "best").iterdir()] for run in (tmp_path / "run", validated)
        ]
        assert kept[0] == kept[1]


def test_a_signal_stops_a_validation_and_the_run_goes_on_to_the_same_figures(
    policy: Path, validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, answered = [*VALIDATION, "evaluator.batch_size=1"], []
    once = Evaluator._predict

    def signalled(self: Any, policy: Any, indices: Any) -> Any:
        for records in once(self, policy, indices):
            answered.append(records)
            if len(answered) == 2:  # of the five images of the first validation
                signal.raise_signal(signal.SIGTERM)
            yield records

    with monkeypatch.context() as patched, stoppable():
        patched.setattr(Evaluator, "_predict", signalled)
        with pytest.raises(StoppedError):
            small_run(tmp_path / "run", policy, *settings)
    assert len(answered) == 2
    small_run(tmp_path / "run", policy, *settings)
    for stage in ("sft", "grpo"):
        assert rows(tmp_path / "run", stage) == rows(validated, stage)


class Scripted:
    """Stands for an evaluator: what it finds at each call is written down."""

    def __init__(self, ratings: Sequence[Sequence[float | None]], name: str = "d") -> None:
        self.dataset_name, self.examples = name, [_record(0, None).example]
        self._ratings = list(ratings)

    def run(self, policy: Any, *, path: Path, title: str | None) -> tuple[Record, ...]:
        assert title is None
        torch.rand(3)  # loaders draw, too
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        return tuple(_record(number, rating) for number, rating in enumerate(self._ratings.pop(0)))


def _record(number: int, rating: float | None) -> Record:
    return record(str(number), rating=rating, mos=1.0 + number)


class Module(L.LightningModule):
    """One weight that follows random numbers."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.weight * torch.rand(())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self) -> list[int]:
        return list(range(8))


GOOD, FAIR, POOR = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0], [4.0, 3.0, 2.0, 1.0]
UNDEFINED = [2.0, 2.0, 2.0, 2.0]


def callback(ratings: Sequence[Sequence[float | None]], **changes: Any) -> BenchmarkEvaluation:
    settings = {"every": 2, "monitor": "srcc_midpoint", "patience": None, "keep_best": False} | changes
    evaluators: Mapping[str, Any] = {"held_out": Scripted(ratings)}
    return BenchmarkEvaluation(**{"evaluators": evaluators, **settings})


def fit(root: Path, policy: Any, *callbacks: L.Callback, **settings: Any) -> tuple[L.Trainer, Module]:
    L.seed_everything(0, verbose=False)
    module = Module(policy)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(root),
        **settings,
    )
    trainer.fit(module)
    return trainer, module


def test_random_numbers_are_those_of_a_run_without(random_policy: Any, tmp_path: Path) -> None:
    _, plain = fit(tmp_path / "plain", random_policy)
    _, evaluated = fit(tmp_path / "evaluated", random_policy, callback([GOOD] * 4))
    assert torch.equal(plain.weight, evaluated.weight)


def test_model_checkpoint_keeps_the_best_by_name(random_policy: Any, tmp_path: Path) -> None:
    best = ModelCheckpoint(
        dirpath=tmp_path, monitor="val/d/srcc", mode="max", every_n_train_steps=2, filename="{step}", save_top_k=1
    )
    trainer, _ = fit(tmp_path, random_policy, callback([POOR, GOOD, FAIR, POOR]), best)
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["step=4.ckpt"]
    assert trainer.callback_metrics["val/d/srcc"] == pytest.approx(-1.0)
    assert float(best.best_model_score) == pytest.approx(1.0)


def test_patience_ends_training_and_an_undefined_figure_is_no_better_one(random_policy: Any, tmp_path: Path) -> None:
    trainer, _ = fit(tmp_path / "a", random_policy, callback([FAIR, UNDEFINED, FAIR, GOOD], patience=2))
    assert trainer.global_step == 6
    trainer, _ = fit(tmp_path / "b", random_policy, callback([POOR, UNDEFINED, FAIR, GOOD], patience=2))
    assert trainer.global_step == 8
    assert not torch.isnan(torch.tensor(list(trainer.callback_metrics.values()))).any()


def test_a_stage_that_patience_had_ended_is_ended_when_it_is_gone_on_with(random_policy: Any, tmp_path: Path) -> None:
    ended = callback([FAIR, POOR, POOR], patience=2)
    fit(tmp_path / "first", random_policy, ended)
    again = callback([], patience=2)
    again.load_state_dict(ended.state_dict())
    trainer, _ = fit(tmp_path / "again", random_policy, again)
    assert trainer.global_step == 0


def test_an_evaluation_without_its_end_is_made_up_for(random_policy: Any, tmp_path: Path) -> None:
    broken = callback([FAIR])  # of which the second comes to no end
    with pytest.raises(IndexError):
        fit(tmp_path / "first", random_policy, broken)
    again = callback([GOOD, POOR, POOR, POOR, POOR])
    again.load_state_dict(broken.state_dict())
    fit(tmp_path / "again", random_policy, again)
    names = [path.name for path in sorted((tmp_path / "again" / "validation" / "d").iterdir())]
    assert names == [f"step-{step:06d}.jsonl" for step in (1, 3, 5, 7)]
    assert again.state_dict() == {"best": pytest.approx(1.0), "since_best": 4, "due": None}


def test_the_last_step_is_evaluated_whatever_its_number(random_policy: Any, tmp_path: Path) -> None:
    fit(tmp_path, random_policy, callback([GOOD] * 3, every=3))
    names = [path.name for path in sorted((tmp_path / "validation" / "d").iterdir())]
    assert names == ["step-000002.jsonl", "step-000005.jsonl", "step-000007.jsonl"]


def test_best_policies_replace_each_other_and_a_continued_run_knows_the_best(tmp_path: Path) -> None:
    class Saved:
        """Stands for a policy."""

        def save(self, folder: Path) -> None:
            folder.mkdir(parents=True, exist_ok=False)

    import zoom_iqa.training.validation as module

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "Policy", Saved)
        first = callback([FAIR, GOOD, POOR, POOR], keep_best=True)
        fit(tmp_path, Saved(), first)
        assert [path.name for path in (tmp_path / "best").iterdir()] == ["step-000003"]
        again = callback([FAIR, FAIR, FAIR, FAIR], keep_best=True, patience=4)
        again.load_state_dict(first.state_dict())
        trainer, _ = fit(tmp_path / "again", Saved(), again)
    assert trainer.global_step == 4  # two evaluations without a better one before, two now
    assert not (tmp_path / "again" / "best").exists()


def test_the_first_data_set_decides_which_policy_is_best(random_policy: Any, tmp_path: Path) -> None:
    """It is best at the second of four evaluations; the other one, at the first."""
    both = {"a": Scripted([POOR, GOOD, POOR, POOR], "one"), "b": Scripted([GOOD, POOR, POOR, POOR], "other")}
    deciding = callback([], evaluators=both)
    fit(tmp_path, random_policy, deciding)
    assert deciding.state_dict() == {"best": pytest.approx(1.0), "since_best": 2, "due": None}


def test_what_an_interrupted_run_left_is_made_again(random_policy: Any, tmp_path: Path) -> None:
    left = tmp_path / "validation" / "d"
    left.mkdir(parents=True)
    for name in ("step-000001.jsonl", "step-000001-0.jsonl", "step-000001-1.jsonl"):
        (left / name).write_text("old")
    fit(tmp_path, random_policy, callback([GOOD] * 4))
    assert (left / "step-000001.jsonl").read_text() == ""
    assert len(list(left.iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"every": 0}, "every=0"),
        ({"patience": 0}, "patience=0"),
        ({"monitor": "rmse"}, "monitor=rmse"),
        ({"monitor": "srcc"}, "monitor=srcc: choose one of pair_accuracy"),  # rises when bad answers are lost
        ({"evaluators": {}}, "one or more"),
        ({"evaluators": {"a": SimpleNamespace(dataset_name="d"), "b": SimpleNamespace(dataset_name="d")}}, "another"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        callback([], **changes)

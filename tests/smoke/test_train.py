"""Whole runs of the main program in this process, small: what they leave, and that a stopped run ends the same."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from support.command_line import run_train
from support.random_policy import build_random_policy
from support.small_run import SETTINGS as BASE
from support.small_run import assert_same_end, metrics_of, rows, save_policy, small_run, weights_of
from zoom_iqa.base.errors import ConfigError, StoppedError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.parallel.stopping import stoppable
from zoom_iqa.policy.policy import Policy

SETTINGS = (
    "grpo.module.update.epochs=2",
    "grpo.module.update.sampler_check.every=3",  # no multiple of checkpoint_every: the verdict outlives a checkpoint
    "resampling=progressive",
)


class KilledError(RuntimeError):
    """Stands for the end of a process at an unlucky moment."""


class Before(L.Callback):
    """Does something before a batch of a stage, such as ending the run."""

    def __init__(self, module: str, batch: int, act: Callable[[], None]) -> None:
        self._module, self._batch, self._act = module, batch, act

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self._batch and type(pl_module).__name__ == self._module:
            self._act()


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    small_run(run, policy, *SETTINGS)
    return run


def test_run_folder_holds_what_is_promised(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        "config.yaml",
        "metrics.json",
        "origin.json",
        "overview.png",
        "predictions.jsonl",
        "checkpoints",
        "evaluation",
        "logs",
        "policy",
    }
    metrics = metrics_of(finished)
    assert list(metrics) == ["sft", "grpo"]
    for figures in metrics.values():
        assert {"srcc", "plcc", "unique_score_ratio", "valid_rate", "crop_rate", "mean_reward", "n"} <= figures.keys()
        assert figures["n"] == 4
        assert figures["valid_rate"] == 1.0
    assert len((finished / "predictions.jsonl").read_text().splitlines()) == 4
    assert (finished / "predictions.jsonl").read_text() == (finished / "evaluation/grpo/predictions.jsonl").read_text()
    assert sorted(path.name for path in (finished / "checkpoints/grpo").iterdir()) == ["done.ckpt"]
    assert not list(finished.rglob(".*"))  # no half of a file is left


def test_the_exported_policy_is_the_one_trained_and_loads_anywhere(finished: Path) -> None:
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(finished / "policy", output_loading_info=True)
    assert not report["missing_keys"]
    trained = weights_of(finished, "grpo")
    exported = {f"model.{name}": value for name, value in model.state_dict().items()}
    assert all(torch.equal(exported[name], trained[name]) for name in trained)
    assert "| grpo | " in (finished / "policy" / "README.md").read_text()  # its figures
    before = weights_of(finished, "sft")
    assert any(not torch.equal(before[name], trained[name]) for name in trained)


def test_a_tower_that_one_stage_has_frozen_learns_in_the_next(tmp_path: Path) -> None:
    run, learns = tmp_path / "run", "grpo.module.freeze_vision_tower=false"
    small_run(run, save_policy(tmp_path), "sft.steps=1", "grpo.steps=1", learns)
    start = {f"model.{name}": value for name, value in build_random_policy().model.state_dict().items()}
    tower = [name for name in start if ".visual." in name]
    changed = {
        stage: any(not torch.equal(weights_of(run, stage)[name], start[name]) for name in tower)
        for stage in ("sft", "grpo")
    }
    assert changed == {"sft": False, "grpo": True}


def test_every_step_is_logged(finished: Path) -> None:
    assert [row["step"] for row in rows(finished, "sft")] == ["0", "1", "2", "3"]
    grpo = rows(finished, "grpo")
    assert [row["step"] for row in grpo] == ["0", "1", "2", "3"]
    assert all(float(row["reward/group_std"]) > 0 for row in grpo)
    assert any(float(row["rollout/crop_rate"]) > 0 for row in grpo)
    assert [row["policy/sampler_gap_mean"] != "" for row in grpo] == [True, False, False, True]
    assert [float(row["policy/old_recomputed"]) for row in grpo] == [0.0] * 4


def before_batch(patched: pytest.MonkeyPatch, module: str, batch: int, act: Callable[[], None]) -> None:
    """Not by config: the config of a continued run must be that of the run."""
    init: Callable[..., None] = L.Trainer.__init__

    def with_more(self: Any, *args: Any, callbacks: Any = (), **kwargs: Any) -> None:
        init(self, *args, callbacks=[*callbacks, Before(module, batch, act)], **kwargs)

    patched.setattr(L.Trainer, "__init__", with_more)


def killed_before(patched: pytest.MonkeyPatch, module: str, batch: int) -> None:
    def kill() -> None:
        raise KilledError

    before_batch(patched, module, batch, kill)


def asked_in(patched: pytest.MonkeyPatch, module: str, batch: int, number: signal.Signals) -> None:
    before_batch(patched, module, batch, lambda: os.kill(os.getpid(), number))


def killed_at_call(patched: pytest.MonkeyPatch, owner: type, method: str, when: Callable[..., bool]) -> None:
    """Ends the run instead of a call."""
    usual = getattr(owner, method)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if when(self, *args):
            raise KilledError
        return usual(self, *args, **kwargs)

    patched.setattr(owner, method, call)


Kill = Callable[[pytest.MonkeyPatch], None]
MOMENTS: dict[str, Kill] = {
    "SFT before a checkpoint": lambda patched: killed_before(patched, "SFTModule", 1),
    "SFT between two checkpoints, by Control-C": lambda patched: asked_in(patched, "SFTModule", 2, signal.SIGINT),
    "SFT before it counts as done": lambda patched: killed_at_call(
        patched, L.Trainer, "save_checkpoint", lambda _, path: path.match("sft/done.ckpt")
    ),
    "evaluation": lambda patched: killed_at_call(
        patched, RecordFile, "append", lambda file, *_: file.path.stat().st_size > 0
    ),
    "GRPO before a checkpoint": lambda patched: killed_before(patched, "GRPOModule", 1),
    "GRPO right after a checkpoint": lambda patched: killed_before(patched, "GRPOModule", 2),
    "GRPO, continued, before its next": lambda patched: killed_before(patched, "GRPOModule", 3),
    "GRPO asked to end in its last step": lambda patched: asked_in(patched, "GRPOModule", 3, signal.SIGTERM),
    "GRPO before it counts as done": lambda patched: killed_at_call(
        patched, L.Trainer, "save_checkpoint", lambda _, path: path.match("grpo/done.ckpt")
    ),
    "export": lambda patched: killed_at_call(patched, Policy, "save", lambda *_: True),
}


def kill(moment: str, run: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, *settings: str) -> None:
    with monkeypatch.context() as patched:
        MOMENTS[moment](patched)
        with pytest.raises((KilledError, StoppedError)), stoppable():
            small_run(run, policy, *settings)


def test_a_run_killed_again_and_again_ends_the_same(
    tmp_path: Path, policy: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for moment in MOMENTS:
        kill(moment, run, policy, monkeypatch, *SETTINGS)
        if moment == "evaluation":
            with (run / "evaluation/sft/predictions.jsonl").open("a") as file:
                file.write('{"id": "half a li')
        if moment == "SFT between two checkpoints, by Control-C":
            assert torch.load(run / "checkpoints/sft/last.ckpt", weights_only=True)["global_step"] == 3
    small_run(run, policy, *SETTINGS)
    assert_same_end(run, finished)


def test_batches_that_workers_fetched_ahead_are_not_lost(
    tmp_path: Path,
    policy: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workers = (*SETTINGS, "machine.workers=1")
    kill("GRPO right after a checkpoint", tmp_path / "run", policy, monkeypatch, *workers)
    assert "SFT 4/4" in capsys.readouterr().err
    small_run(tmp_path / "run", policy, *workers)
    assert "GRPO 4/4" in capsys.readouterr().err
    assert_same_end(tmp_path / "run", finished)


def test_another_config_in_the_same_folder_is_refused_in_one_line(finished: Path, policy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with pytest.raises(ConfigError, match=r"holds a run of another config.* seed: 0 there, 1 now") as error:
        small_run(finished, policy, *SETTINGS, "seed=1")
    assert "\n" not in str(error.value)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_run_that_fails_does_not_end_the_others(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "policy=tiny", "data=embedded", *BASE, "sft.steps=1", "stages=[sft]", "seed=0"]
    arguments += [f"policy.path={tmp_path / 'nowhere'},{policy}", f"hydra.sweep.dir={tmp_path}"]
    ended = run_train(arguments, monkeypatch, capsys)
    assert ended.status == 2
    assert "nowhere" in ended.err
    assert "error: 1 runs have not ended; to go on with them: python -m zoom_iqa.train -m" in ended.err
    assert "not in the table: 0 has failed" in ended.out
    assert (tmp_path / "summary.csv").is_file()
    assert list(metrics_of(tmp_path / "1")) == ["sft"]
    assert not (tmp_path / "1" / "failed").exists()


@pytest.mark.parametrize(
    ("swept", "said"),
    [
        (["seed=0", "sft.module.max_grad_norm=1.0,-1"], r"job 1 \(sft\.module\.max_grad_norm=-1\): sft\.module"),
        (
            ["seed=0,1", "sft.module.max_grad_norm=1,-1"],
            r"job 1 \(seed=0 sft\.module\.max_grad_norm=-1\), and 1 more: ",
        ),
        (["seed=0,1", "sft.module.max_grad_norm=-1"], r"each of the 2 jobs: sft\.module\.max_grad_norm=-1 must"),
        (["seed=0,1", "sft.module.max_norm=1.0,2.0"], "sft.module.max_norm: there is no such key"),
        (["seed=0,1", "hydra.sweep.subdir=${seed}", "sft.steps=1,2"], "one folder, 0; add 'hydra.sweep.subdir="),
    ],
)
def test_a_mistake_in_any_job_ends_a_multirun_before_its_first(
    swept: list[str], said: str, tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = ["-m", "policy=tiny", "data=embedded", *BASE, "stages=[sft]", f"policy.path={policy}", *swept]
    ended = run_train([*arguments, f"hydra.sweep.dir={tmp_path / 'sweep'}"], monkeypatch, capsys)
    assert ended.status == 2
    assert re.match(f"error: .*{said}", ended.err), ended.err
    assert not list((tmp_path / "sweep").glob("[0-9]"))  # no folder of a job


def test_the_ablation_is_one_multirun(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first and its last row; the contract tests compose the others."""
    arguments = ["-m", "+sweep=table3", "policy=tiny", "data=embedded", *BASE, "sft.steps=2", "grpo.steps=1"]
    arguments += ["hydra.sweeper.params={+experiment:'table3_sft,table3_progressive'}"]
    ended = run_train([*arguments, f"policy.path={policy}", f"paths.runs={tmp_path}"], monkeypatch, capsys)
    assert ended.status == 0, ended.err
    (sweep,) = (tmp_path / "table3").iterdir()
    found = {run.name: list(metrics_of(run)) for run in sweep.iterdir() if run.is_dir()}
    assert found == {"table3_sft-seed0": ["sft"], "table3_progressive-seed0": ["sft", "grpo"]}
    assert ended.out.count("run folder:") == 2

"""Remedies that errors print work when they are typed: each is taken from the message and tried."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.command_line import run_module
from support.random_policy import build_random_policy
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.policy import loading

REACHED = "reached the policy"
OWN = """\
defaults:
  - manifest
  - override split: published
name: mine
root: /nowhere
reader: {labels: mine.csv}
scale: {direction: higher_is_better, native_range: [1, 5]}
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Runs a command until it would load its policy; returns what it said."""
    monkeypatch.chdir(tmp_path)

    @functools.wraps(loading.load_policy)
    def load(**settings: Any) -> None:
        raise ConfigError(REACHED)

    monkeypatch.setattr(loading, "load_policy", load)

    def run(module: str, *arguments: str) -> str:
        ended = run_module(f"zoom_iqa.{module}", list(arguments), monkeypatch, capsys)
        return ended.err + ended.out

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Labelled pictures, and a folder of configs that has them as a benchmark with a root that is wrong."""
    (tmp_path / "mine" / "benchmark").mkdir(parents=True)
    (tmp_path / "mine" / "benchmark" / "mine.yaml").write_text(OWN)
    (tmp_path / "photos").mkdir()
    rows = [f"{number}.png,{1 + number % 5},{'test' if number < 9 else 'train'}" for number in range(30)]
    for number in range(30):
        Image.effect_noise((200, 110), 20 + number).convert("RGB").save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "mine.csv").write_text("\n".join(["image,score,split", *rows]) + "\n")
    return tmp_path / "photos"


def remedy(said: str, pattern: str) -> str:
    """The part of an error's first line that is typed next."""
    line = said.split("\n")[0]
    assert line.startswith("error: ")
    found = re.search(pattern, line)
    assert found is not None, line
    return found[0]


MINE = ["--config-dir", "mine", "benchmark=mine"]
COMMANDS = {
    "evaluate": ("evaluate", MINE),
    "train": ("train", [*MINE, "data=koniq10k", "stages=[grpo]", "policy=tiny"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_where_a_benchmark_lies(command: str, photos: Path, typed: Callable[..., str]) -> None:
    module, arguments = COMMANDS[command]
    root = remedy(typed(module, *arguments), r"benchmark\.root=FOLDER").replace("FOLDER", str(photos))
    assert REACHED in typed(module, *arguments, root)


def test_where_a_benchmark_lies_in_a_check(photos: Path, typed: Callable[..., str]) -> None:
    (root,) = set(re.findall(r"benchmark\.root=\w+", typed("data", "check", *MINE)))
    assert "verdict    sound" in typed("data", "check", *MINE, root.replace("FOLDER", str(photos)))


def test_splits_that_a_set_does_not_have(photos: Path, typed: Callable[..., str]) -> None:
    arguments = [*MINE, f"benchmark.root={photos}"]
    split = remedy(typed("evaluate", *arguments, "split=val"), r"benchmark/split=seeded")
    assert REACHED in typed("evaluate", *arguments, "split=val", split)
    training = [*arguments, "data=koniq10k", "stages=[grpo]", "callbacks=validation", "policy=tiny"]
    split = remedy(typed("train", *training), r"benchmark/split=seeded")
    assert REACHED in typed("train", *training, split)


def test_a_peer_that_would_be_judged_on_its_training(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["peer=mean", f"manifest={photos}/mine.csv", f"paths.run_dir={photos}/run"]
    said = run_module("zoom_iqa.evaluate_peer", arguments, monkeypatch, capsys).err
    split = remedy(said, r"(?<=another split \()split=test")
    assert run_module("zoom_iqa.evaluate_peer", [*arguments, split], monkeypatch, capsys).status == 0


def test_a_policy_path_one_level_too_high(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    build_random_policy().save(Path("runs/a/policy"))
    arguments = ["benchmark=embedded", "limit=1", "machine.workers=0", "machine=cpu", "rollout=transformers"]
    arguments.append("rollout._target_=support.written_engine.WrittenEngine")
    said = run_module("zoom_iqa.evaluate", [*arguments, "policy.path=runs/a"], monkeypatch, capsys).err
    folder = remedy(said, r"runs/a/policy(?= has one)")
    ended = run_module("zoom_iqa.evaluate", [*arguments, f"policy.path={folder}"], monkeypatch, capsys)
    assert ended.status == 0, ended.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("command", ["evaluate benchmark=embedded", "train +experiment=quickstart data.train.size=20"])
def test_no_gpu(command: str, typed: Callable[..., str]) -> None:
    module, *arguments = command.split()
    machine = remedy(typed(module, *arguments, "machine=gpu"), r"machine=cpu")
    assert REACHED in typed(module, *arguments, machine)


def test_an_experiment_without_its_plus(typed: Callable[..., str]) -> None:
    plus = remedy(typed("train", "experiment=quickstart"), r"\+experiment=quickstart")
    assert REACHED in typed("train", plus, "data.train.size=20")
    assert plus in typed("train", "--experiment", "quickstart")


def test_no_trajectories(photos: Path, typed: Callable[..., str]) -> None:
    arguments = [*MINE, f"benchmark.root={photos}", "data=koniq10k", "policy=tiny"]
    stages = remedy(typed("train", *arguments), r"stages=\[grpo\]")
    assert REACHED in typed("train", *arguments, stages)


def test_scores_of_another_scale(photos: Path, typed: Callable[..., str]) -> None:
    (photos / "other.csv").write_text("image,score\n0.png,10\n1.png,63.5\n")
    arguments = [f"manifest={photos}/other.csv"]
    scale = remedy(typed("evaluate", *arguments), r"range=\[[\d,]+\]$")
    assert REACHED in typed("evaluate", *arguments, scale)


def test_a_manifest_for_training(photos: Path, typed: Callable[..., str]) -> None:
    data = remedy(typed("train", f"manifest={photos}/mine.csv"), r"data=manifest")
    assert REACHED in typed("train", f"manifest={photos}/mine.csv", data)


def test_arguments_around_flags(typed: Callable[..., str]) -> None:
    flags = remedy(typed("train", "stages=[]", "-m", "seed=0,1"), r"-m seed=0,1").split()
    assert "stages=[] must be a list" in typed("train", *flags, "stages=[]")


def test_names_of_earlier_versions(typed: Callable[..., str]) -> None:
    engine = remedy(typed("train", "engine=native"), r"rollout=NAME").replace("NAME", "native")
    trainer = remedy(typed("train", "machine=gpus"), r"trainer=ddp")
    loss = remedy(typed("train", "aggregation=token_mean"), r"loss=NAME").replace("NAME", "token_mean")
    workers = remedy(typed("train", "data.workers=1"), r"machine\.workers$")
    assert REACHED in typed("train", engine, loss, f"{workers}=1", "data.train.size=20")
    assert "stages=[] must be" in typed("train", trainer, "stages=[]")  # more would join a process group

"""The command: the files of an evaluation, a table from them, and no learning from what is judged."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config import peer_run
from zoom_iqa.config.peer_run import compose_config, evaluate_peer
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.report import report

RECIPE: dict[str, Any] = {  # of the images that are judged: conf/benchmark/embedded.yaml
    "seed": 0,
    "local_fraction": 0.25,
    "pristine_fraction": 0.03,
    "procedural_fraction": 0.0,
    "continuous_levels": False,
    "augmented": False,
    "references": None,
}
LEVELS = {"train": (0.0, 25.0, 50.0), "test": (10.0, 20.0, 30.0, 80.0)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Textured pictures with scores on 0-100, some to learn from and some to be judged on."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = ["image,mos,split"]
    for split, scores in LEVELS.items():
        for number, score in enumerate(scores):
            Image.effect_noise((200, 110), 20 + score).convert("RGB").save(folder / f"{split}{number}.png")
            rows.append(f"{split}{number}.png,{score},{split}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(peer: str, images: Path, output: Path, *others: str) -> dict[str, dict[str, Any]]:
    arguments = [
        f"peer={peer}",
        f"manifest={images}/mine.csv",
        "range=[0,100]",
        f"paths.run_dir={output}",
        *others,
    ]
    metrics, folder = evaluate_peer(compose_config(arguments))
    assert folder == output
    return metrics


def test_the_mean_is_that_of_the_training_split(images: Path, tmp_path: Path) -> None:
    metrics = run("mean", images, tmp_path / "mean", "split=test")
    lines = (tmp_path / "mean" / "mine" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["rating"] for line in lines] == [2.0] * 4
    assert metrics["mine"]["srcc"] == "undefined (all predictions are equal)"
    errors = [1 + score / 25 - 2.0 for score in LEVELS["test"]]
    assert metrics["mine"]["rmse"] == pytest.approx(statistics.fmean(e * e for e in errors) ** 0.5)


def test_the_folder_is_an_evaluations_and_goes_into_the_table(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "niqe"
    metrics = run("niqe", images, folder, "split=test")
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["command"].startswith("python -m zoom_iqa.evaluate_peer")
    assert list(origin["datasets"]) == ["mine"]
    scores = list(csv.DictReader((folder / "mine" / "scores.csv").read_text().splitlines()))
    assert [row["id"] for row in scores] == [f"test{number}.png" for number in range(4)]
    assert all(float(row["rating"]) < 0 for row in scores)
    table = report(["table1", f"NIQE={folder}", "--format", "csv"])
    assert f"{metrics['mine']['plcc']:.3f},{metrics['mine']['srcc']:.3f}" in table.splitlines()[-1]
    assert "peer NIQE" in report(["table1", str(folder)])


def test_another_config_is_refused_in_the_same_folder(images: Path, tmp_path: Path) -> None:
    run("mean", images, tmp_path / "mean", "split=test")
    with pytest.raises(ConfigError, match="another config"):
        run("mean", images, tmp_path / "mean", "split=test", "limit=2")


def test_a_peer_on_a_policy_is_of_the_policy_as_it_was(images: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(shipped_policy_folder(), policy)
    given = (images, tmp_path / "tower", "split=test", f"peer.backbone.policy.path={policy}")
    run("ridge_tower", *given)
    weights = (policy / "model.safetensors").read_bytes()
    (policy / "model.safetensors").write_bytes(weights[: -(2**20)] + bytes(2**20))  # trained further
    with pytest.raises(ConfigError, match="holds a run of another config"):
        run("ridge_tower", *given)


def test_nothing_is_judged_on_what_it_has_learned_from(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 of 7 evaluated images are in learn_split=train"):
        run("mean", images, tmp_path / "mean", "split=all")
    assert run("niqe", images, tmp_path / "niqe", "split=all")["mine"]["n"] == 7


def test_a_peer_learns_from_the_embedded_set_too(tmp_path: Path) -> None:
    small = ["benchmark.sizes.train=6", "benchmark.sizes.test=4"]
    arguments = ["peer=mean", "benchmark=embedded", *small, f"paths.run_dir={tmp_path}/mean"]
    metrics, folder = evaluate_peer(compose_config(arguments))
    ratings = {json.loads(line)["rating"] for line in (folder / "embedded" / "predictions.jsonl").open()}
    learned_from = EmbeddedSet(split="train", size=6, **RECIPE)
    assert list(ratings) == pytest.approx([statistics.fmean(item.mos for item in learned_from.items())])
    assert metrics["embedded"]["n"] == 4


def test_figures_of_two_data_sets_stay_while_they_are_made_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("benchmark=embedded", "benchmarks.embedded.sizes.train=6", "benchmarks.embedded.sizes.test=4")
    metrics = run("mean", images, tmp_path / "mean", "split=test", *small)
    seen = []

    def drawn(folder: Path) -> None:
        seen.append(json.loads((folder / "metrics.json").read_text()))

    monkeypatch.setattr(peer_run, "write_overview", drawn)
    assert run("mean", images, tmp_path / "mean", "split=test", *small) == metrics
    assert metrics.keys() == {"mine", "embedded"}
    assert seen == [metrics, metrics]


def test_no_benchmark_shows_the_usage() -> None:
    with pytest.raises(ConfigError, match=r"usage: python -m zoom_iqa\.evaluate_peer"):
        evaluate_peer(compose_config(["peer=niqe"]))


@pytest.mark.parametrize("place", [0, 1])
def test_a_data_set_whose_answers_were_removed_is_judged_anew(place: int, images: Path, tmp_path: Path) -> None:
    small = ("benchmark=embedded", "benchmarks.embedded.sizes.train=6", "benchmarks.embedded.sizes.test=4")
    whole = run("mean", images, tmp_path / "mean", "split=test", *small)
    (tmp_path / "mean" / list(whole)[place] / "predictions.jsonl").unlink()
    assert run("mean", images, tmp_path / "mean", "split=test", *small) == whole

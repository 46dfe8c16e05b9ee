"""Whole evaluations in this process, small: written answers, a policy of 0.1 M parameters, a handful of images."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.random_policy import build_random_policy, noise_image
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record
from zoom_iqa.config import evaluation_run
from zoom_iqa.config.evaluation_run import compose_config, evaluate
from zoom_iqa.data.references import Reference, write_references
from zoom_iqa.evaluation.table import print_figures

TESTS = Path(__file__).resolve().parents[2]
ENGINE = [
    "rollout=transformers",
    "rollout._target_=support.written_engine.WrittenEngine",
    "max_new_tokens=200",
    "machine.accelerator=cpu",
    "machine.workers=0",
    "machine.evaluation_batch_size=2",
]


class KilledError(RuntimeError):
    """Stands for the end of a process at an unlucky moment."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy"
    build_random_policy().save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven labelled pictures."""
    folder = tmp_path_factory.mktemp("images")
    rows = ["image,mos"]
    for number in range(7):
        noise_image(number, 40 + number, 32).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{10 + 13 * number % 80}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    return folder


def arguments(policy: Path, images: Path, output: Path, *others: str) -> list[str]:
    own = [f"manifest={images}/mine.csv", "range=[0,100]"]
    return [*own, *ENGINE, f"policy.path={policy}", f"paths.run_dir={output}", *others]


def run(policy: Path, images: Path, output: Path, *others: str) -> dict[str, dict[str, Any]]:
    metrics, folder = evaluate(compose_config(arguments(policy, images, output, *others)))
    assert folder == output
    assert json.loads((output / "metrics.json").read_text()) == metrics
    return metrics


def answers(folder: Path) -> list[dict[str, Any]]:
    """Predictions without the time they took."""
    lines = (folder / "mine" / "predictions.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def finished(policy: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation that nothing disturbed."""
    output = tmp_path_factory.mktemp("finished") / "run"
    run(policy, images, output, "samples_per_image=2")
    return output


def test_the_folder_holds_what_is_promised(finished: Path) -> None:
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    at_the_top = {"config.yaml", "origin.json", "metrics.json", "overview.png"}
    assert names == at_the_top | {"mine/predictions.jsonl", "mine/scores.csv"}
    assert [(line["id"], line["sample"]) for line in answers(finished)] == [
        (f"{number}.png", sample) for number in range(7) for sample in range(2)
    ]
    figures = json.loads((finished / "metrics.json").read_text())["mine"]
    assert (figures["n"], figures["n_valid"], figures["samples_per_image"]) == (7, 7, 2)
    assert 0 < figures["crop_rate"] < 1
    with (finished / "mine" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, first, second in zip(rows, answers(finished)[::2], answers(finished)[1::2], strict=True):
        assert float(row["rating"]) == pytest.approx((first["rating"] + second["rating"]) / 2, abs=1e-4)
        assert float(row["spread"]) == pytest.approx(abs(first["rating"] - second["rating"]) / 2**0.5, abs=1e-4)


def test_killed_again_and_again_it_ends_the_same(
    policy: Path, images: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    append = RecordFile.append
    for kills in range(3):
        with monkeypatch.context() as patched:

            def killed(self: RecordFile[Record], records: Any, kills: int = kills) -> None:
                append(self, records)
                if len(self.read()) > 4 * kills:
                    with self.path.open("a") as file:
                        file.write('{"id": "half a li')
                    raise KilledError

            patched.setattr(RecordFile, "append", killed)
            with pytest.raises(KilledError):
                run(policy, images, output, "samples_per_image=2")
    run(policy, images, output, "samples_per_image=2", "machine.evaluation_batch_size=3")
    assert answers(output) == answers(finished)
    for name in ("metrics.json", "config.yaml", "mine/scores.csv"):
        assert (output / name).read_text() == (finished / name).read_text()


def test_another_config_in_the_same_folder_is_refused_with_the_difference(
    policy: Path, images: Path, finished: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"holds a run of another config; .*folder. evaluator.seed: 0 there, 1 now; seed: 0 there"
    ) as error:
        run(policy, images, finished, "samples_per_image=2", "seed=1")
    assert "\n" not in str(error.value)


def test_how_the_work_is_done_may_change_when_a_run_goes_on(policy: Path, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    run(policy, images, output, "limit=2", "machine.features_capacity=100", "machine.image_cache=1", "max_pixels=null")
    before = answers(output)
    run(
        policy,
        images,
        output,
        "limit=2",
        "machine.gradient_checkpointing=true",
        "machine.evaluation_batch_size=1",
        "max_pixels=null",
    )
    assert answers(output) == before


def test_a_policy_that_was_trained_on_is_another_one(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy"
    for seed in (0, 1):
        if path.exists():
            path.rename(tmp_path / "before")
        build_random_policy(seed=seed).save(path)
        if seed == 0:
            run(path, images, tmp_path / "run", "limit=1")
    with pytest.raises(ConfigError, match=r"policy_files: [0-9a-f]+ there"):
        run(path, images, tmp_path / "run", "limit=1")


def test_other_labels_are_noticed(policy: Path, images: Path, tmp_path: Path) -> None:
    output, copy = tmp_path / "run", tmp_path / "images"
    copy.mkdir()
    for path in images.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    run(policy, copy, output)
    labels = copy / "mine.csv"
    labels.write_text(labels.read_text().replace("0.png,10", "0.png,10.0000000001"))
    run(policy, copy, output)  # the same up to rounding
    labels.write_text(labels.read_text().replace("0.png,10.0000000001", "0.png,30"))
    with pytest.raises(DataError, match=r"made with other labels.*\n.*mine:0.png: 1.4 then, 2.2 now"):
        run(policy, copy, output)


def test_labels_and_files_are_looked_at_before_the_policy(images: Path, tmp_path: Path) -> None:
    def broken(*others: str) -> None:
        run(tmp_path / "no policy", images, tmp_path / "run", *others)

    with pytest.raises(DataError, match="no labels at"):
        broken("benchmarks.manifest.reader.labels=other.csv")
    with pytest.raises(ConfigError, match="limit=0"):
        broken("limit=0")
    for key in ("limit", "max_pixels"):
        for value in ("abc", "1.5", "0"):
            with pytest.raises(ConfigError, match=rf"{key}={value} must be a whole number of at least 1; null"):
                broken(f"{key}={value}")
    with pytest.raises(ConfigError, match=r"^max_new_tokens=0 must be a whole number of at least 1"):
        broken("max_new_tokens=0")
    with pytest.raises(ConfigError, match="nothing reads this key"):
        broken("+sample=2")
    assert not (tmp_path / "run").exists()


def test_answers_are_drawn_as_the_protocol_says_unless_told_otherwise() -> None:
    def sampling(*others: str) -> dict[str, Any]:
        cfg = compose_config(["benchmark=embedded", "policy.path=p", *others])
        return {key: cfg.evaluator.sampling[key] for key in ("temperature", "top_p", "top_k", "greedy")}

    protocol = {"temperature": 1.0, "top_p": 0.95, "top_k": 50, "greedy": False}
    assert sampling() == protocol
    assert sampling("rollout=transformers") == protocol
    assert sampling("evaluator.sampling.greedy=true") == {**protocol, "greedy": True}
    assert sampling("evaluator=greedy") == {**protocol, "greedy": True}


def test_the_released_protocol_is_one_choice(
    policy: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, module = ModuleType("zoomiqa"), ModuleType("zoomiqa.protocol")
    package.__path__ = []  # type: ignore[attr-defined]
    module.RANDOM_QUESTIONS = ("one?", "two?")  # type: ignore[attr-defined]
    module.STAGE1_PROMPT = 'First {{"rating": 1}}. {question}'  # type: ignore[attr-defined]
    module.STAGE2_PROMPT = 'Again {{"rating": 1}}. {question}'  # type: ignore[attr-defined]
    for made in (package, module):
        monkeypatch.setitem(sys.modules, made.__name__, made)
    figures = run(policy, images, tmp_path / "run", "protocol=released")["mine"]
    assert (figures["n"], figures["n_valid"]) == (7, 7)
    assert "stop_strings: []" in (tmp_path / "run" / "config.yaml").read_text()


def test_the_same_command_finds_its_folder(
    policy: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [a for a in arguments(policy, images, tmp_path, "limit=2") if not a.startswith("paths.run_dir=")]

    def folder(*others: str) -> Path:
        return evaluate(compose_config([*given, *others]))[1]

    first = folder()
    assert folder("machine.evaluation_batch_size=1") == first
    assert folder("seed=1") != first
    assert len(list((tmp_path / "runs" / "evaluate").iterdir())) == 2


def test_two_processes_of_torchrun_end_as_one(policy: Path, images: Path, finished: Path, tmp_path: Path) -> None:
    given = arguments(policy, images, tmp_path / "run", "samples_per_image=2")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "zoom_iqa.evaluate", *given],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,  # busy machines take minutes to import torch twice
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    assert answers(tmp_path / "run") == answers(finished)
    assert (tmp_path / "run" / "config.yaml").read_text() == (finished / "config.yaml").read_text()
    assert {path.name for path in (tmp_path / "run" / "mine").iterdir()} == {"predictions.jsonl", "scores.csv"}


def test_the_embedded_set_beside_another(policy: Path, images: Path, tmp_path: Path) -> None:
    metrics = run(policy, images, tmp_path / "run", "benchmark=embedded", "limit=3")
    assert {name: figures["n"] for name, figures in metrics.items()} == {"embedded": 3, "mine": 3}


def test_figures_of_two_data_sets_stay_while_they_are_made_again(
    policy: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (policy, images, tmp_path / "run", "benchmark=embedded", "limit=1")
    metrics = run(*given)
    seen = []

    def drawn(folder: Path) -> None:
        seen.append(json.loads((folder / "metrics.json").read_text()))

    monkeypatch.setattr(evaluation_run, "write_overview", drawn)
    assert run(*given) == metrics
    assert seen == [metrics, metrics]


def test_views_ask_again_from_the_words_and_references_are_compared_with(
    policy: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [("0.png", "x and y"), ("0.png", "z"), ("9.png", "not here")]
    write_references(
        tmp_path / "references.jsonl",
        [
            Reference(dataset="mine", file=file, split=None, annotator=number, description=text, good="", bad="")
            for number, (file, text) in enumerate(texts)
        ],
    )
    more = ["views=[image,caption]", f"references={tmp_path}/references.jsonl"]
    figures = run(policy, images, tmp_path / "run", *more)["mine"]
    assert "1 of 7 images of mine have a text that people wrote; 1 texts are about images" in capsys.readouterr().err
    assert (figures["n_human_text"], figures["n_human_texts"]) == (1, 1)
    for view in ("caption", "caption_struck"):
        assert (figures[f"asked_{view}"], figures[f"n_{view}"]) == (1.0, 7)
        assert figures[f"srcc_gap_{view}"] == pytest.approx(figures["srcc"] - figures[f"srcc_{view}"])
    for line in answers(tmp_path / "run"):
        assert [len(line["probes"][view]) for view in ("caption", "caption_struck")] == [1, 1]
    print_figures({"mine": figures}, tmp_path)
    shown = capsys.readouterr().out
    assert "caption_struck: SRCC, image minus words, 95 % bootstrap interval" in shown
    assert "ROUGE-1 of references, each against the nearest other" in shown

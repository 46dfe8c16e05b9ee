"""The command: a judge behind a server that prefers true texts, over the tiny policy's answers on the embedded set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from support.chat_server import ChatApi, chat_server, written
from support.command_line import Ended, run_module
from support.made_rollouts import rollout, step
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec, record_of
from zoom_iqa.config.location import conf_dir
from zoom_iqa.tasks.grades import CRITERIA


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)
    return lambda module, *arguments: run_module(f"zoom_iqa.{module}", list(arguments), monkeypatch, capsys)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A text that names its image, for four images of the embedded set's test split."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        benchmark = instantiate(compose("benchmark/embedded").benchmark)
    images = benchmark.images("test", max_pixels=None, upright=True, size=None).items()[:4]
    records = [record_of(rollout(item, step(3.0, text=f"<think>of {item.id}, sound</think>"))) for item in images]
    path = tmp_path / "predictions.jsonl"
    RecordFile(path, RecordCodec()).write(records)
    return path


def grades(body: dict[str, Any]) -> str:
    """8 for a text that says sound, 2 for another."""
    text = body["messages"][0]["content"][1]["text"]
    return "".join(f"<{name}>{8 if ', sound' in text else 2}</{name}>" for name in CRITERIA)


def test_a_judge_is_asked_once_and_controls_are_told_apart(
    run: Callable[..., Ended], predictions: Path, tmp_path: Path
) -> None:
    with chat_server(ChatApi(answer=written(grades))) as api:
        server = ("judge.model=tiny", f"judge.base_url={api.base_url}", "repeats=2", "out=judged")
        dry = run("judge", f"hidden_name={predictions}", *server, "dry_run=true", "judge.budget.output_price=2.5")
        assert (dry.status, api.bodies) == (0, [])
        assert "judge: 20 requests\n" in dry.out
        assert "probe: 1 to 2 requests, each time a server is asked anew\n" in dry.out
        assert f"at most {22 * 1024 * 2.5 / 1e6:.4f} for answers" in dry.out
        ended = run("judge", f"hidden_name={predictions}", *server)
        assert ended.status == 0, ended.err
        assert len(api.asked) == 4 * (2 + 3)
        assert "…" not in ended.out  # eighty columns hold its tables
        assert "hidden_name" not in json.dumps(api.bodies)
        assert run("judge", f"hidden_name={predictions}", *server).status == 0
        assert len(api.asked) == 4 * (2 + 3)
    found = json.loads((tmp_path / "judged" / "judged.json").read_text())["systems"]["hidden_name"]
    assert (found["images"], found["failures"], found["without_text"]) == (4, {}, 0)
    assert found["criteria"]["accuracy"] == {"mean": 8.0, "interval": [8.0, 8.0], "spread_over_repeats": 0.0}
    lower = {name: drops["accuracy"]["lower_by"] for name, drops in found["controls"].items()}
    assert lower == {"swapped": 0.0, "template": 6.0, "opposite": 6.0}  # this judge cannot tell whose text it is
    table = run("report", "table2", str(tmp_path / "judged"))
    assert "hidden_name" in table.out
    assert "control template (4 images) is graded lower in accuracy by 6.00" in table.out


def test_words_that_have_changed_are_graded_anew(run: Callable[..., Ended], predictions: Path, tmp_path: Path) -> None:
    with chat_server(ChatApi(answer=written(grades))) as api:
        command = (
            f"mine={predictions}",
            "judge.model=tiny",
            f"judge.base_url={api.base_url}",
            "repeats=2",
            "out=judged",
        )
        assert run("judge", *command).status == 0
        file: RecordFile[Record] = RecordFile(predictions, RecordCodec())
        first, *others = file.read()
        file.write([record_of(rollout(first.example, step(3.0, text="<think>another text</think>"))), *others])
        before = len(api.asked)
        assert run("judge", *command).status == 0
        assert len(api.asked) == before + 2 + 1  # its own text twice, and once where it is swapped for another's
    found = json.loads((tmp_path / "judged" / "judged.json").read_text())["systems"]["mine"]
    assert found["criteria"]["accuracy"]["mean"] == (2 + 3 * 8) / 4


def test_a_policy_of_ours_judges_too_and_what_it_cannot_say_is_typed(
    run: Callable[..., Ended], predictions: Path, tmp_path: Path
) -> None:
    ended = run(
        "judge", str(predictions), "generator@judge=policy", "repeats=1", "controls=false", "limit=340", "out=own"
    )
    assert ended.status == 0, ended.err
    (found,) = json.loads((tmp_path / "own" / "judged.json").read_text())["systems"].values()
    assert (found["images"], sum(found["failures"].values())) == (0, 4)
    assert found["criteria"]["accuracy"]["mean"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["judge.model=x", "out=o"], "no predictions are given"),
        (["a=none.jsonl", "judge.model=x", "out=o"], "none.jsonl is not a file"),
        (["a=x.jsonl", "a=y.jsonl"], "a is named twice"),
        (["a=x.jsonl", "judge.model=x", "out=o", "repeats=0"], "repeats=0 must be a whole number of at least 1"),
        (["a=x.jsonl", "judge.model=x", "out=o", "seed=x"], "seed=x must be a whole number of at least 0"),
        (["a=x.jsonl", "judge.model=x", "out=o", "controls=maybe"], "controls=maybe must be true or false"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], said: str, run: Callable[..., Ended]) -> None:
    ended = run("judge", *arguments)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err

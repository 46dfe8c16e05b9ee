"""GRPO with a judge behind a server: faults in the middle, a budget that ends, a server that is gone, and going on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from support.chat_server import ChatApi, chat_server, written
from support.small_run import answers_of, composed, metrics_of, rows, small_run, weights_of
from zoom_iqa.base.errors import BudgetError, ServerError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.config.training_run import train
from zoom_iqa.tasks.grades import CRITERIA

WORDY = "rollout._target_=support.written_engine.WordyEngine"
ROLLOUTS = 2 * 3
"""Of a step."""


def server(api: ChatApi, **changed: Any) -> list[str]:
    """A run of four rollouts judged there, a request at a time."""
    values = {"attempts": 2, "timeout_s": 0.5, "longest_wait_s": 0.02, "concurrency": 1, **changed}
    return [
        "stages=[grpo]",
        WORDY,
        "reward=judged",
        "judge=api",
        "judge.speaker.model=tiny",
        f"judge.speaker.base_url={api.base_url}",
        *(f"judge.speaker.{key}={value}" for key, value in values.items()),
    ]


def words_of(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"][1]["text"]


def grade(body: dict[str, Any]) -> int:
    """1 to 9 by the number in the text judged."""
    found = re.search(r"This was written about the image:\s+(?:Quality|Crop): (\d+)", words_of(body))
    assert found is not None
    return 1 + int(found[1]) % 9


def tags(body: dict[str, Any]) -> str:
    return "".join(f"<{name}>{grade(body)}</{name}>" for name in CRITERIA)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> tuple[Path, list[str]]:
    """A run that nothing stops, and what it asked."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with chat_server(ChatApi(answer=written(tags))) as api:
        small_run(run, policy, *server(api))
        return run, sorted(map(words_of, api.asked))


def number(row: dict[str, str], name: str) -> float:
    return float(row[name])


def without_cost(run: Path) -> list[dict[str, str]]:
    """What was logged but for what was spent: a run that goes on asks the server anew what it can do."""
    spent = ("judge/requests", "judge/input_tokens", "judge/output_tokens", "judge/money")
    return [{key: value for key, value in row.items() if key not in spent} for row in rows(run, "grpo")]


def test_what_goes_wrong_is_typed_counted_and_costs_its_rollout_the_term_alone(tmp_path: Path, policy: Path) -> None:
    """The first step's six: graded at the second attempt, twice; refused; cut; silent twice; broken twice."""
    faults = ["429", "good", "500", "good", "refusal", "length", "silence", "silence", "500", "500"]
    with chat_server(ChatApi(answer=written(tags), faults=faults)) as api:
        small_run(tmp_path / "run", policy, *server(api), "grpo.module.recorder.every=1", "grpo.module.recorder.keep=6")
        asked = [body for body in api.asked if "image_url" in json.dumps(body)]
    first, *later = rows(tmp_path / "run", "grpo")
    assert number(first, "judge/asked") == 1.0
    shares = {name: number(first, f"judge/failed_{name}") for name in ("refused", "length", "failed")}
    assert shares == {"refused": pytest.approx(1 / 6), "length": pytest.approx(1 / 6), "failed": pytest.approx(2 / 6)}
    assert number(first, "reward/judge_present") == pytest.approx(2 / 6)
    grades = [grade(asked[0]), grade(asked[2])]  # behind 429 and 500, which are asked again
    assert number(first, "judge/accuracy") == pytest.approx(sum(grades) / 2)
    assert number(first, "reward/judge") == pytest.approx(sum(g - 1 for g in grades) / 16)
    assert number(first, "judge/requests") == 1 + 6 + 2 + 1 + 1 + 2  # probes: the first, and behind failures
    assert [number(row, "reward/judge_present") for row in later] == [1.0, 1.0, 1.0]
    kept = [one for one in RecordFile(tmp_path / "run/logs/grpo/rollouts.jsonl", RecordCodec()).read() if one.step == 0]
    assert sorted("judge" in one.rewards for one in kept) == [False] * 4 + [True] * 2
    for body in asked:
        parts = body["messages"][0]["content"]
        assert [part["type"] for part in parts] == ["image_url", "text"]
        assert "rating" not in words_of(body).partition("This was written")[2].partition("Grade it")[0]


@pytest.mark.parametrize("requests", [3, 1 + ROLLOUTS + 4])
def test_a_budget_that_ends_stops_the_run_and_nothing_is_paid_twice(
    requests: int, tmp_path: Path, policy: Path, whole: tuple[Path, list[str]]
) -> None:
    """In the first step, and in the second."""
    run = tmp_path / "run"
    with chat_server(ChatApi(answer=written(tags))) as api:
        with pytest.raises(BudgetError, match=rf"budget\.requests={requests} is spent .*the same command goes on"):
            small_run(run, policy, *server(api), f"judge.speaker.budget.requests={requests}")
        assert len(api.asked) == requests - 1  # and the probe
        small_run(run, policy, *server(api))
        assert sorted(map(words_of, api.asked)) == whole[1]
    assert_alike(run, whole[0])


def test_a_server_that_is_gone_stops_the_run_which_goes_on_when_it_is_back(
    tmp_path: Path, policy: Path, whole: tuple[Path, list[str]]
) -> None:
    run, going = tmp_path / "run", ChatApi(answer=written(tags))
    going.answer = gone_after(ROLLOUTS + 2, going)
    with chat_server(going), pytest.raises(ServerError, match="did not answer a short request"):
        small_run(run, policy, *server(going))
    back = ChatApi(answer=written(tags))
    with chat_server(back, port=going.port):
        small_run(run, policy, *server(back))
        assert len(back.asked) == len(whole[1]) - (ROLLOUTS + 2)
    assert_alike(run, whole[0])


def gone_after(answers: int, api: ChatApi) -> Callable[[dict[str, Any]], Any]:
    """Good answers, so many, and then dropped connections."""
    good, given = written(tags), []

    def answer(body: dict[str, Any]) -> Any:
        given.append(body)
        if len(given) >= answers:
            api.faults.extend(["drop"] * 99)
            api.probe_faults.extend(["drop"] * 99)
        return good(body)

    return answer


def assert_alike(run: Path, whole: Path) -> None:
    found, expected = weights_of(run, "grpo"), weights_of(whole, "grpo")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert without_cost(run) == without_cost(whole)
    assert answers_of(run, "grpo") == answers_of(whole, "grpo")
    assert metrics_of(run) == metrics_of(whole)


def test_the_projects_own_engine_judges_too(tmp_path: Path) -> None:
    """The shipped policy cannot grade: all is typed, and the other terms are learned from."""
    run = tmp_path / "run"
    cfg = composed(
        "stages=[grpo]", "reward=judged", "judge=policy", "judge.sampling.max_new_tokens=12", "grpo.steps=2",
        "grpo.data.batch_size=2", "grpo.module.group_size=2", "data.test.size=2", "machine.workers=0",
        f"paths.run_dir={run}",
    )  # fmt: skip
    train(cfg, run)
    for row in rows(run, "grpo"):
        assert number(row, "judge/asked") == 1.0
        assert number(row, "judge/failed_length") + number(row, "judge/failed_missing_criterion") == 1.0
        assert number(row, "reward/judge_present") == 0.0
        assert number(row, "reward/total") > 0.0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["reward=judged"], r"reads the probe 'judge' and there is none; add judge=api judge\.speaker\.model=NAME or"),
        (["judge=policy"], "a judge is named and no term of the reward reads its grades; choose reward=judged"),
        (["reward=judged", "judge=api"], r"judge\.speaker\.model has no value"),
    ],
)
def test_mistakes_are_named(
    overrides: list[str], said: str, tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), expected_errors():
        small_run(tmp_path / "run", policy, "stages=[grpo]", *overrides)
    assert re.search(said, capsys.readouterr().err)

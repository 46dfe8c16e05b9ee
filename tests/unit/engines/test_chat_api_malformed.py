"""Replies that are whole JSON and no answer, or no JSON: typed, counted, and never an end of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from support.chat_engine import FREE, KEY, SAMPLING, answers, request, server_of
from support.chat_server import ChatApi, chat_server, written
from zoom_iqa.base.errors import ConfigError, ServerError
from zoom_iqa.base.types import Generation
from zoom_iqa.engines.chat_api.budget import Budget, Ledger, Spent
from zoom_iqa.engines.chat_api.engine import ChatEngine
from zoom_iqa.engines.chat_api.replies import BrokenReplyError, Usage, read_reply
from zoom_iqa.engines.chat_api.request_log import RequestLog


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def api() -> Iterator[ChatApi]:
    with chat_server(ChatApi(answer=written("good</answer>"))) as served:
        yield served


def said(**changed: Any) -> dict[str, Any]:
    """A reply of two tokens, "ab"; ``changed`` are parts of its choice, or of the reply where it has them."""
    tokens = [{"token": letter, "logprob": -0.5, "top_logprobs": []} for letter in "ab"]
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "ab"}, "logprobs": {"content": tokens}}
    whole = {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    for name, value in changed.items():
        (whole if name in whole else choice)[name] = value
    return whole


def reply_of(**changed: Any) -> Any:
    return read_reply(ChatCompletion.construct(**json.loads(json.dumps(said(**changed)))), stop_strings=())


def asked(
    api: ChatApi, folder: Path, budget: Budget = FREE, **changed: Any
) -> tuple[Generation, list[dict[str, Any]], Spent]:
    """The answer to one request, the lines of the log, and what was spent."""
    with RequestLog(folder / "requests.jsonl") as log:
        ledger = Ledger(budget, before=log.spent)
        server = server_of(api, budget=budget, **changed)
        found = answers(ChatEngine(server=server, sampling=SAMPLING, ledger=ledger, log=log), request(0))
    lines = (folder / "requests.jsonl").read_text().splitlines()
    return found["r0"], [json.loads(line) for line in lines], ledger.spent


def test_a_whole_reply_has_all_its_parts() -> None:
    found = reply_of()
    assert (found.text, found.logprobs, found.usage, found.answered_by) == ("ab", (-0.5, -0.5), Usage(7, 2), "m")


TOKEN = {"token": "ab", "logprob": -0.5, "top_logprobs": []}


@pytest.mark.parametrize(
    "tokens",
    [
        [{**TOKEN, "logprob": None}],
        [{**TOKEN, "logprob": "half"}],
        [{**TOKEN, "logprob": float("nan")}],
        [{**TOKEN, "logprob": float("-inf")}],
        [{**TOKEN, "logprob": 1000.0}],
        [{"logprob": -0.5}],
        [{**TOKEN, "top_logprobs": {"a": -1.0}}],
        [{**TOKEN, "top_logprobs": [{"token": "a", "logprob": "x"}]}],
        [{**TOKEN, "token": "a"}],  # of another text: they spell one character of two
        {"token": "ab"},
        "ab",
        [3],
    ],
)
def test_log_probabilities_that_are_none_leave_the_text(tokens: Any) -> None:
    found = reply_of(logprobs={"content": tokens})
    assert (found.text, found.logprobs, found.entropies) == ("ab", None, None)


@pytest.mark.parametrize(
    "usage",
    [None, 3, {"prompt_tokens": "7", "completion_tokens": 2}, {"prompt_tokens": -7, "completion_tokens": 2},
     {"prompt_tokens": float("inf"), "completion_tokens": 2}, {"prompt_tokens": 7}],
)  # fmt: skip
def test_usage_that_is_none_is_not_known(usage: Any) -> None:
    assert reply_of(usage=usage).usage is None


@pytest.mark.parametrize("choices", [None, [], {}, 3, "ab", [3], [None]])
def test_a_reply_without_a_choice_is_broken(choices: Any) -> None:
    with pytest.raises(BrokenReplyError, match=r"^the reply has no (choices|text)$") as broken:
        reply_of(choices=choices)
    assert broken.value.usage == Usage(7, 2)


def test_an_end_that_is_not_known_is_named() -> None:
    with pytest.raises(BrokenReplyError, match=r"ends with 'eos', which is none of stop, length, content_filter"):
        reply_of(finish_reason="eos")


def test_halves_of_characters_are_replaced(api: ChatApi, tmp_path: Path) -> None:
    """JSON can say them, and no file can hold them."""
    found = reply_of(message={"content": "a\ud83d"}, model="m\ud83d", logprobs=None)
    assert (found.text, found.answered_by) == ("a\ufffd", "m\ufffd")
    api.faults = ["half a character"]
    found, log, _ = asked(api, tmp_path)
    assert found.finish == "stop"
    assert "no \ufffd" in log[1]["said"]


@pytest.mark.parametrize(
    "body",
    [
        "\xff\xfe",
        "[1]",
        "null",
        "3",
        "9" * 5000,
        "[" * 100_000,
        '{"choices": [{"message": {"content": "a"}}]} and more',
    ],
    ids=["no UTF-8", "a list", "null", "a number", "a long number", "deep", "more behind it"],
)
def test_what_is_no_json_object_is_asked_again(body: str, api: ChatApi, tmp_path: Path) -> None:
    api.faults = [f"raw:{body}"]
    found, log, _ = asked(api, tmp_path)
    assert found.finish == "stop"
    assert [line["outcome"] for line in log] == ["ok", "BrokenReplyError", "ok"]


def test_a_reply_that_drips_is_given_up_in_time(api: ChatApi, tmp_path: Path) -> None:
    api.faults, begun = ["drip"] * 2, time.monotonic()
    found, log, _ = asked(api, tmp_path, timeout_s=0.3)
    assert found.finish == "stop"
    assert [line["outcome"] for line in log] == ["ok", "APITimeoutError", "APITimeoutError", "ok"]
    assert time.monotonic() - begun < 60  # it drips without end


def test_a_reply_without_end_is_not_kept(api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoom_iqa.engines.chat_api.fetching.MOST_BYTES", 20_000)
    api.faults = ["raw:" + " " * 30_000 + "{}"]
    found, log, _ = asked(api, tmp_path)
    assert (found.finish, log[1]["said"]) == ("stop", "the reply is longer than 20,000 bytes")


LIMITED = Budget(requests=None, tokens=None, money=1.0, input_price=1.0, output_price=10.0)


def test_a_server_that_does_not_count_is_asked_within_no_budget_of_tokens(api: ChatApi, tmp_path: Path) -> None:
    api.probe_faults = ["raw:" + json.dumps(said(usage=None))]
    with pytest.raises(
        ConfigError, match=r"^budget\.money: this server does not say how many tokens .* budget\.requests"
    ):
        asked(api, tmp_path, LIMITED)
    assert api.asked == []


def test_an_answer_that_is_not_counted_costs_all_it_may_have_written(api: ChatApi, tmp_path: Path) -> None:
    """The probe has 100 and 3 tokens; an answer may have 40."""
    api.faults = ["raw:" + json.dumps(said(usage=None))]
    found, _, spent = asked(api, tmp_path, LIMITED)
    assert found.text == "ab"
    assert spent == Spent(requests=2, input_tokens=100, output_tokens=43)


def test_a_broken_reply_costs_what_the_server_has_counted(api: ChatApi, tmp_path: Path) -> None:
    """The probe has 100 and 3 tokens, the broken reply 7 and 2, the answer 100 and one a character: 13."""
    api.faults = ["raw:" + json.dumps(said(choices=None))]
    found, log, spent = asked(api, tmp_path)
    assert [line["outcome"] for line in log] == ["ok", "BrokenReplyError", "ok"]
    assert found.text == "good</answer>"
    assert spent == Spent(requests=3, input_tokens=207, output_tokens=18)


@pytest.mark.parametrize("end", ["\r", "\n", " "])
def test_the_end_of_a_keys_line_is_no_part_of_it(
    end: str, api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY + end)
    api.wants_key = KEY
    assert asked(api, tmp_path)[0].finish == "stop"


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk a", "sk\x01"])
def test_a_key_that_no_header_holds_is_named_by_its_variable(
    key: str, api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", key)
    with pytest.raises(ConfigError, match=r"^TEST_KEY holds characters that no key has"):
        asked(api, tmp_path)


def test_no_part_of_a_key_is_kept_where_an_error_is_cut(api: ChatApi, tmp_path: Path) -> None:
    api.faults = ["echo later"]
    asked(api, tmp_path)
    assert KEY[:8] not in (tmp_path / "requests.jsonl").read_text()


@pytest.mark.parametrize("address", ["http://user:word@localhost/v1", "http://localhost/v1?api-key=abc"])
def test_an_address_holds_no_secret(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^base_url holds a name, a password or a query"):
        server_of(ChatApi(answer=written("x")), base_url=address)


def test_the_environment_does_not_change_whom_answers_are_from(
    api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", api.base_url)
    monkeypatch.setattr("zoom_iqa.engines.chat_api.engine.OPENAI", "http://127.0.0.1:9/v1")
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9/"):
        asked(api, tmp_path, base_url=None)

"""Answers over a chat API: what goes wrong with servers is tried again, typed or said; nothing is paid twice."""

from __future__ import annotations

import datetime
import email.utils
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image

from support.chat_engine import FREE, GREEN, KEY, SAMPLING, answers, request, server_of
from support.chat_server import ChatApi, chat_server, prompt_of, written
from zoom_iqa.base.errors import BudgetError, ConfigError, ServerError
from zoom_iqa.base.types import Generation, ImagePart, TextPart
from zoom_iqa.engines.cached import CachedEngine
from zoom_iqa.engines.chat_api.budget import Budget, Ledger, Spent
from zoom_iqa.engines.chat_api.calls import Pace, retry_after_s
from zoom_iqa.engines.chat_api.engine import MOST_UNANSWERED, ChatEngine
from zoom_iqa.engines.chat_api.messages import bounded
from zoom_iqa.engines.chat_api.request_log import RequestLog
from zoom_iqa.engines.engine import Engine


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def api() -> Iterator[ChatApi]:
    with chat_server(ChatApi(answer=written("good</answer> and more"))) as served:
        yield served


def drain(engine: Engine, seen: list[Generation]) -> None:
    while engine.busy:
        seen += engine.step()


def asked(
    api: ChatApi, tmp_path: Path, count: int = 1, budget: Budget = FREE, **changed: Any
) -> tuple[dict[str, Generation], list[dict[str, Any]]]:
    """Answers to ``count`` requests, and the lines of the log."""
    path = tmp_path / "requests.jsonl"
    with RequestLog(path) as log:
        engine = ChatEngine(
            server=server_of(api, **changed), sampling=SAMPLING, ledger=Ledger(budget, before=log.spent), log=log
        )
        found = answers(engine, *map(request, range(count)))
    return found, [json.loads(line) for line in path.read_text().splitlines()]


def test_a_request_says_what_is_asked_and_an_answer_is_cut_at_its_stop_string(api: ChatApi, tmp_path: Path) -> None:
    found, _ = asked(api, tmp_path, extra={"reasoning_effort": "low"})
    (body,) = api.asked
    assert {key: body[key] for key in ("model", "max_tokens", "temperature", "top_p", "seed")} == {
        "model": "tiny",
        "max_tokens": 40,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 0,  # 2^40 modulo 2^31
    }
    assert (body["reasoning_effort"], "stop" in body) == ("low", False)
    (message,) = prompt_of(body)
    assert message.parts[0] == TextPart("question 0")
    assert isinstance(message.parts[1], ImagePart)
    assert message.parts[1].key == GREEN.key  # pixels arrive as they are
    assert set(api.keys) == {f"Bearer {KEY}"}
    made = found["r0"]
    assert (made.text, made.finish, made.token_ids) == ("good</answer>", "stop", None)
    assert made.logprobs == pytest.approx([math.log(0.5)] * len("good</answer>"))
    assert made.entropies == pytest.approx([1.5 * math.log(2)] * len("good</answer>"))


def test_large_images_are_reduced_and_small_ones_are_not() -> None:
    assert bounded(Image.new("RGB", (400, 100)), max_pixels=10_000).size == (200, 50)
    small = Image.new("RGB", (100, 100))
    assert bounded(small, max_pixels=10_000) is small
    assert bounded(Image.new("RGB", (9, 6)), max_pixels=50).size == (8, 5)  # of 8.7 x 5.8: 9 x 6 would be too many


@pytest.mark.parametrize("fault", ["429", "500", "broken", "html", "empty", "half", "drop", "silence"])
def test_a_fault_that_passes_is_passed_over(fault: str, api: ChatApi, tmp_path: Path) -> None:
    api.faults = [fault]
    found, log = asked(api, tmp_path)
    assert found["r0"].text == "good</answer>"
    assert [(line["key"], line["attempt"], line["outcome"] == "ok") for line in log] == [
        ("probe", 1, True),
        ("r0", 1, False),
        ("r0", 2, True),
    ]


@pytest.mark.parametrize("fault", ["429", "500", "broken", "html", "empty", "half", "drop", "silence", "400"])
def test_a_fault_that_stays_is_typed_and_the_others_are_answered(fault: str, api: ChatApi, tmp_path: Path) -> None:
    api.faults = [fault] * 3
    found, _ = asked(api, tmp_path, 1, timeout_s=0.2)
    assert (found["r0"].finish, found["r0"].text, found["r0"].logprobs) == ("failed", "", None)
    attempts = 1 if fault == "400" else 3
    assert len(api.asked) == attempts
    api.faults = []
    found, _ = asked(api, tmp_path, 3)
    assert [found[f"r{n}"].finish for n in range(3)] == ["stop"] * 3


@pytest.mark.parametrize("fault", ["429", "500", "drop"])
def test_a_server_that_does_not_answer_a_first_request_is_asked_no_other(
    fault: str, api: ChatApi, tmp_path: Path
) -> None:
    api.probe_faults = [fault] * 3
    said = r"did not answer a short request in 3 attempts, at last with .*: the same command goes on"
    with pytest.raises(ServerError, match=said):
        asked(api, tmp_path, 3)
    assert api.asked == []


def test_a_server_that_stops_answering_ends_the_run_at_the_next_request(api: ChatApi, tmp_path: Path) -> None:
    api.faults, api.probe_faults = ["good", *["drop"] * 3], ["good", *["drop"] * 3]
    with pytest.raises(ServerError, match="did not answer a short request in 3 attempts, at last with APIConnection"):
        asked(api, tmp_path, 9, concurrency=1)
    assert len(api.asked) == 1 + 3


def test_a_server_that_stops_and_then_refuses_ends_the_run_in_one_line(api: ChatApi, tmp_path: Path) -> None:
    api.faults, api.probe_faults = ["good", *["drop"] * 3], ["good", "400"]
    with pytest.raises(ServerError, match=r"refuses a short request that it took before: .*the same command goes on"):
        asked(api, tmp_path, 9, concurrency=1)


def test_a_server_that_answers_none_of_many_in_a_row_is_asked_no_more(api: ChatApi, tmp_path: Path) -> None:
    """One attempt each: 19 in a row are unanswered, a refusal is an answer; then 20 in a row are not."""
    more = {"attempts": 1, "concurrency": 1}
    api.faults = ["500", "good", *["500"] * (MOST_UNANSWERED - 1), "400", "500", "good"]
    found, _ = asked(api, tmp_path, 24, **more)
    assert [made.finish for made in found.values()].count("stop") == 2
    api.faults = ["500"] * 30
    before = len(api.asked)
    with pytest.raises(ServerError, match=r"answered none of 20 requests in a row, the last with Internal"):
        asked(api, tmp_path, 30, **more)
    assert len(api.asked) - before == MOST_UNANSWERED


def test_a_reply_without_text_is_paid_for_too(api: ChatApi, tmp_path: Path) -> None:
    """Two of 100 tokens read and 40 written before one of 100 and 22; the probe has 100 and 3."""
    api.faults = ["thought"] * 2
    found, log = asked(api, tmp_path)
    assert found["r0"].text == "good</answer>"
    assert [(line["outcome"], line["input_tokens"], line["output_tokens"]) for line in log] == [
        ("ok", 100, 3),
        ("BrokenReplyError", 100, 40),
        ("BrokenReplyError", 100, 40),
        ("ok", 100, 22),
    ]
    with RequestLog(tmp_path / "requests.jsonl") as written_before:
        assert written_before.spent == Spent(requests=4, input_tokens=400, output_tokens=105)


def test_a_refusal_and_an_answer_cut_by_length_are_told_apart(api: ChatApi, tmp_path: Path) -> None:
    api.faults = ["refusal"]
    found, _ = asked(api, tmp_path)
    assert (found["r0"].finish, found["r0"].text) == ("refused", "I cannot help with that.")
    api.faults = ["length"]
    found, log = asked(api, tmp_path)
    assert (found["r0"].finish, found["r0"].text) == ("length", "<think>Quality: a ph")
    assert log[-1]["finish"] == "length"


def test_a_wrong_model_ends_in_one_line(api: ChatApi, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model=large: .*The model `large` does not exist.*; name one of its models"):
        asked(api, tmp_path, model="large")


def test_no_server_ends_in_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    api = ChatApi(answer=written("good</answer>"))
    with chat_server(api):
        port = api.port
    with pytest.raises(ServerError, match="cannot be reached"):
        asked(api, tmp_path)
    with chat_server(api, port=port):
        found, _ = asked(api, tmp_path)
    assert found["r0"].text == "good</answer>"


def test_a_server_that_dies_in_the_middle_loses_no_answer_and_none_is_paid_twice(tmp_path: Path) -> None:
    api = ChatApi(answer=written(lambda body: body["messages"][0]["content"][0]["text"] + "</answer>"))
    requests = [request(number) for number in range(4)]

    def run() -> dict[str, Generation]:
        with RequestLog(tmp_path / "log.jsonl") as log:
            server = server_of(api, concurrency=1)
            engine = ChatEngine(server=server, sampling=SAMPLING, ledger=Ledger(FREE, before=log.spent), log=log)
            with CachedEngine(engine, identity=server.identity, path=tmp_path / "replies.jsonl") as cached:
                return answers(cached, *requests)

    with chat_server(api):
        port = api.port
        with RequestLog(tmp_path / "log.jsonl") as log:
            server = server_of(api, concurrency=1)
            engine = ChatEngine(server=server, sampling=SAMPLING, ledger=Ledger(FREE, before=log.spent), log=log)
            with CachedEngine(engine, identity=server.identity, path=tmp_path / "replies.jsonl") as cached:
                answers(cached, *requests[:2])
    with pytest.raises(ServerError):
        run()
    with chat_server(api, port=port):
        found = run()
        assert {key: made.text for key, made in found.items()} == {f"r{n}": f"question {n}</answer>" for n in range(4)}
        assert len(api.asked) == 4
        before = len(api.bodies)
        assert run() == found
        assert len(api.bodies) == before  # not even a probe
    with RequestLog(tmp_path / "log.jsonl") as log:
        assert log.spent.input_tokens == 100 * (4 + 2)  # two probes


def test_log_probabilities_are_probed_once(api: ChatApi, tmp_path: Path) -> None:
    api.has_logprobs = False
    found, _ = asked(api, tmp_path, 3)
    assert {made.logprobs for made in found.values()} == {None}
    assert ["logprobs" in body for body in api.bodies] == [True, False, False, False]


def test_a_server_that_refuses_log_probabilities_is_asked_without(api: ChatApi, tmp_path: Path) -> None:
    api.refuses = ("logprobs",)
    found, _ = asked(api, tmp_path, 2)
    assert [made.finish for made in found.values()] == ["stop"] * 2
    assert ["logprobs" in body for body in api.bodies] == [True, False, False, False]


def test_a_server_that_refuses_the_form_says_so_and_a_key_can_be_left_out(api: ChatApi, tmp_path: Path) -> None:
    api.refuses = ("temperature", "max_tokens")
    with pytest.raises(ServerError, match=r"model=tiny refuses requests of this form: .*temperature.*leave_out"):
        asked(api, tmp_path)
    found, _ = asked(api, tmp_path, leave_out=["temperature"], length_key="max_completion_tokens")
    assert found["r0"].finish == "stop"


@pytest.mark.parametrize(
    ("limits", "answered"),
    [({"requests": 3}, 2), ({"tokens": 250}, 2), ({"money": 0.0003, "input_price": 1.0, "output_price": 1.0}, 2)],
)
def test_a_budget_stops_cleanly_and_goes_on_where_it_is_raised(
    limits: dict[str, Any], answered: int, api: ChatApi, tmp_path: Path
) -> None:
    """A probe costs 103 tokens, an answer 122; a request that finds 325 or 347 spent is not made."""
    budget = Budget(**{**FREE.__dict__, **limits})
    requests = [request(number) for number in range(4)]
    seen: list[Generation] = []
    with RequestLog(tmp_path / "log.jsonl") as log:
        engine = ChatEngine(
            server=server_of(api, concurrency=1), sampling=SAMPLING, ledger=Ledger(budget, before=log.spent), log=log
        )
        for one in requests:
            engine.submit(one)
        with pytest.raises(BudgetError, match=r"budget\.\w+=.* is spent .*raise it and the same command goes on"):
            drain(engine, seen)
        assert not engine.busy
    assert len(seen) == answered
    with RequestLog(tmp_path / "log.jsonl") as log:
        assert log.spent == Spent(requests=3, input_tokens=300, output_tokens=3 + 2 * 22)
        engine = ChatEngine(server=server_of(api), sampling=SAMPLING, ledger=Ledger(budget, before=log.spent), log=log)
        with pytest.raises(BudgetError):  # the probe already
            engine.submit(requests[3])


def test_answers_under_way_are_given_back_before_the_error_is_raised(api: ChatApi, tmp_path: Path) -> None:
    """The first of two requests at once is answered after the second has found the budget spent."""
    told = threading.Event()

    def slowly(body: dict[str, Any]) -> str:
        told.wait(5.0)
        return "good</answer>"

    api.answer = written(slowly)
    budget = Budget(**{**FREE.__dict__, "requests": 2})  # the probe, and one
    seen: list[Generation] = []
    with RequestLog(tmp_path / "log.jsonl") as log:
        server = server_of(api, concurrency=2, timeout_s=10.0)
        engine = ChatEngine(server=server, sampling=SAMPLING, ledger=Ledger(budget, before=log.spent), log=log)
        engine.submit(request(0))
        engine.submit(request(1))
        threading.Timer(0.2, told.set).start()
        with pytest.raises(BudgetError):
            drain(engine, seen)
    assert [made.text for made in seen] == ["good</answer>"]


def test_an_empty_account_is_a_spent_budget(api: ChatApi, tmp_path: Path) -> None:
    api.faults = ["quota"]
    with pytest.raises(BudgetError, match="no credit"):
        asked(api, tmp_path)
    assert len(api.asked) == 1


def test_neither_keys_nor_pixels_are_logged(api: ChatApi, tmp_path: Path) -> None:
    api.faults = ["echo"]
    asked(api, tmp_path)
    text = (tmp_path / "requests.jsonl").read_text()
    assert KEY not in text
    assert "none of the workers took Bearer (key)" in text
    assert "base64" not in text
    assert json.loads(text.splitlines()[-1])["body"]["messages"][0]["content"][1]["image_url"]["url"] == "40x30"


def test_a_key_that_is_wrong_or_not_there_is_said_by_its_variable(
    api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Gemini says it, with the status of a request that is wrong."""
    api.wants_key = "another key"
    said = r"does not take the key \(.*API key not valid.*\); set the environment variable TEST_KEY"
    with pytest.raises(ServerError, match=said):
        asked(api, tmp_path)
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(ServerError, match=r"was asked without a key .* set the environment variable TEST_KEY"):
        asked(api, tmp_path)
    assert len(api.bodies) == 2  # each time one request


def test_without_a_key_nothing_is_hidden(api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    api.faults = ["echo"]
    asked(api, tmp_path)
    assert "none of the workers took Bearer none" in (tmp_path / "requests.jsonl").read_text()


def status_error(retry_after: str | None) -> openai.RateLimitError:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    response = httpx2.Response(429, headers=headers, request=httpx2.Request("POST", "http://x/"))
    return openai.RateLimitError("slow down", response=response, body=None)


@pytest.mark.parametrize(("longest", "waited"), [(60.0, 7.0), (3.0, 3.0)])
def test_a_server_that_asks_for_time_is_given_it(
    longest: float, waited: float, api: ChatApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No longer than the longest wait."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    api.faults = ["later"]
    found, _ = asked(api, tmp_path, longest_wait_s=longest)
    assert found["r0"].finish == "stop"
    assert [seconds for seconds in slept if seconds > 0] == [waited]


def test_requests_of_a_minute_are_spread_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    monkeypatch.setattr("time.sleep", slept.append)
    pace, free = Pace(120.0), Pace(None)
    for _ in range(3):
        pace()
        free()
    assert slept == [0.0, 0.0, 0.5, 0.0, 1.0, 0.0]


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
    date = email.utils.format_datetime(now + datetime.timedelta(seconds=90), usegmt=True)
    asked_for = [retry_after_s(status_error(given), now=now) for given in ("7", "0.5", date, "soon", None)]
    assert asked_for == [7.0, 0.5, 90.0, None, None]
    assert retry_after_s(ValueError(), now=now) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"concurrency": 0}, "concurrency=0 must be a whole number of at least 1"),
        ({"timeout_s": 0.0}, r"timeout_s=0\.0 must be above 0"),
        ({"length_key": "max"}, "length_key=max must be max_tokens or max_completion_tokens"),
        ({"leave_out": ["top_k"]}, "leave_out=top_k must be one or more of temperature, top_p, seed"),
    ],
)
def test_wrong_values_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        server_of(ChatApi(answer=written("x")), **changed)


def test_each_kind_of_token_has_its_own_price() -> None:
    budget = Budget(requests=None, tokens=None, money=10.0, input_price=1.0, output_price=4.0)
    assert budget.cost(Spent(input_tokens=2_000_000, output_tokens=1_000_000)) == 2 * 1.0 + 1 * 4.0


def test_limited_money_needs_prices() -> None:
    with pytest.raises(ConfigError, match=r"budget\.money=1 needs budget\.input_price"):
        Budget(requests=None, tokens=None, money=1, input_price=0.0, output_price=0.0)
    with pytest.raises(ConfigError, match=r"budget\.money=nan must be 0 or more"):
        Budget(requests=None, tokens=None, money=float("nan"), input_price=1.0, output_price=1.0)

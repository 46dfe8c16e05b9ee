"""rollout=vllm_server against its own server, the native engine in vLLM's place: the same tokens, faults included."""

from __future__ import annotations

import copy
import http.client
import math
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from support.engine_runs import SAMPLING, assert_same, native, run
from support.random_policy import turn1_prompt, turn2_prompt
from support.shared_models import NativeServed, Sharing, sharing
from zoom_iqa.base.errors import ConfigError, PolicyError, ServerError
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.vllm.engine import VllmEngine
from zoom_iqa.engines.vllm.serving import Completion, ServedImage, ServedRequest
from zoom_iqa.engines.vllm.shared import remote
from zoom_iqa.engines.vllm.shared.http_server import ANSWERS
from zoom_iqa.engines.vllm.shared.recipe import VllmServerRecipe
from zoom_iqa.engines.vllm.shared.wire import request_bytes, request_of
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

VALUES: dict[str, Any] = {
    "url": "http://127.0.0.1:1",
    "push_folder": None,
    "lost_after_s": 0.3,
    "stalled_after_s": 60.0,
    "probe_tolerance": 1e-3,
}


def engine(policy: Policy, url: str, **values: Any) -> VllmEngine:
    recipe = VllmServerRecipe(**{**VALUES, "url": url, **values})
    return recipe(policy=policy, sampling=SAMPLING, features=VisionCache(model=policy.model, capacity=10_000))


def requests() -> list[Request]:
    """Two seeds of a first turn, one cut short, and a second turn with two images."""
    short = replace(SAMPLING, max_new_tokens=3, temperature=0.5)
    return [
        *(Request(f"a/{seed}", "a", turn1_prompt(0), seed) for seed in range(2)),
        Request("short", "a", turn1_prompt(0), 5, sampling=short),
        Request("b", "b", turn2_prompt(1), 7),
    ]


def changed(policy: Policy) -> Policy:
    """The policy with weights of its own."""
    other = copy.copy(policy)
    other.model = copy.deepcopy(policy.model)
    for layer in other.model.model.language_model.layers:
        layer.mlp.down_proj.weight.data *= 1.5
    return other


@pytest.fixture
def there(random_policy: Policy) -> Iterator[Sharing]:
    with sharing(NativeServed(random_policy), random_policy) as there:
        yield there


def expected(policy: Policy) -> dict[str, Generation]:
    return run(native(policy), requests())


def test_tokens_and_numbers_are_those_of_the_engine_in_process(random_policy: Policy, there: Sharing) -> None:
    asking = engine(random_policy, there.url)
    assert not asking.busy
    assert_same(run(asking, requests()), expected(random_policy))
    assert asking.probe_gap < 1e-5
    assert there.model._served.pushes == 1  # type: ignore[attr-defined]


def test_trainers_of_equal_weights_push_once_and_others_take_turns(
    random_policy: Policy, there: Sharing, tmp_path: Path
) -> None:
    other = changed(random_policy)
    first, second, third = (
        engine(policy, there.url, push_folder=str(tmp_path)) for policy in (random_policy, random_policy, other)
    )
    for asking in (first, second):
        assert_same(run(asking, requests()), expected(random_policy))
    served: Any = there.model._served
    assert served.pushes == 1
    for asking in (first, second):
        asking.release()
    assert_same(run(third, requests()), expected(other))
    third.release()
    assert_same(run(first, requests()), expected(random_policy))  # it is told, and pushes again
    assert served.pushes == 3
    assert not list(tmp_path.iterdir())


def test_a_push_is_seen_with_the_towers_weights(random_policy: Policy, there: Sharing) -> None:
    policy = changed(random_policy)
    asking = engine(policy, there.url)
    assert_same(run(asking, requests()), expected(policy))
    policy.model.model.visual.merger.mlp[2].weight.data *= 2.0
    policy.model.model.language_model.layers[0].mlp.down_proj.weight.data *= 0.5
    asking.refresh()
    assert_same(run(asking, requests()), expected(policy))


@pytest.mark.parametrize("fault", ["500", "drop", "lost", "broken", "other"])
def test_a_call_that_fails_is_made_again_and_nothing_is_drawn_twice(
    fault: str, random_policy: Policy, there: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    asking = engine(random_policy, there.url, lost_after_s=30.0)
    seen = 0
    found: dict[str, Generation] = {}
    for request in requests():
        there.faults += [fault]
        asking.submit(request)
    while asking.busy:
        there.faults += [fault]
        for made in asking.step():
            assert made.key not in found
            found[made.key] = made
            seen += 1
    assert_same(found, expected(random_policy))
    assert seen == len(requests())


@pytest.mark.parametrize("fault", ["500", "drop", "broken"])
def test_faults_without_end_are_one_line_soon(fault: str, random_policy: Policy, there: Sharing) -> None:
    asking = engine(random_policy, there.url)
    asking.submit(requests()[0])
    there.faults += [fault] * 1000
    begin = time.monotonic()
    with pytest.raises(ServerError, match=rf"machine.vllm_url={there.url}: no answer within 0.3 s \(at last: .+\)"):
        asking.step()
    assert time.monotonic() - begin < 5


def test_a_server_that_is_not_there_is_one_line(random_policy: Policy) -> None:
    with pytest.raises(ServerError, match=r"machine.vllm_url=http://127.0.0.1:1: no answer within 0.3 s .*refused"):
        engine(random_policy, "http://127.0.0.1:1").submit(requests()[0])


def test_a_server_that_hears_and_says_nothing_is_given_up(random_policy: Policy) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"no answer within 0.3 s .*timed out"):
            engine(random_policy, url).refresh()


def test_a_server_that_was_started_anew_has_lost_requests_and_is_used_again_for_others(random_policy: Policy) -> None:
    with sharing(NativeServed(random_policy), random_policy) as there:
        port = there.server.server_address[1]
        asking = engine(random_policy, there.url, lost_after_s=10.0)
        run(asking, requests()[:1])
    with sharing(NativeServed(random_policy), random_policy, port=port):
        assert_same(run(asking, requests()), expected(random_policy))  # none was unfinished
        asking.submit(requests()[0])
    with (
        sharing(NativeServed(random_policy), random_policy, port=port),
        pytest.raises(ServerError, match="was started anew, and 1 requests are lost with it; the same command goes on"),
    ):
        asking.step()


def test_a_model_that_makes_no_step_is_given_up(random_policy: Policy, there: Sharing) -> None:
    asking = engine(random_policy, there.url, lost_after_s=10.0, stalled_after_s=0.2)
    asking.refresh()
    served: Any = there.model._served
    step, served.step = served.step, lambda: time.sleep(3.0) or step()
    asking.submit(requests()[0])
    with pytest.raises(ServerError, match=r"its model has made no step for [01] s; start it anew"):
        run(asking, [])


def test_a_policy_of_another_shape_is_refused(random_policy: Policy, there: Sharing) -> None:
    other = changed(random_policy)
    other.model.to(torch.bfloat16)
    with pytest.raises(ConfigError, match="answers with status 422: the server was started for a policy of another"):
        engine(other, there.url).refresh()


def test_a_request_that_is_too_long_is_refused(random_policy: Policy, there: Sharing) -> None:
    long = replace(SAMPLING, max_new_tokens=5000)
    with pytest.raises(ConfigError, match=r"x: \d+ prompt tokens and 5000 new ones exceed rollout.context_tokens=4096"):
        engine(random_policy, there.url).submit(Request("x", "x", turn1_prompt(0), 0, sampling=long))


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/leave", '{"trainer": "a"}', {}, 200),
        ("/leave", '{"trainer": "a"}', {"Origin": "http://elsewhere.example"}, 403),
        ("/leave", '{"trainer": "a"}', {"Content-Length": "-1"}, 400),
        ("/leave", '{"trainer": "a"}', {"Content-Length": "many"}, 400),
        ("/nope", "{}", {"Content-Length": "600000000"}, 404),  # which is not waited for
        ("/leave", '{"trainer": 5}', {}, 422),
        ("/leave", '{"trainer": "a/b"}', {}, 422),
        ("/leave", "3", {}, 422),
        ("/leave", "[" * 100_000, {}, 422),
        ("/turn", '{"trainer": "a", "weights": null, "shape": "x"}', {}, 422),
        ("/finished", '{"trainer": "a", "taken": 3}', {}, 422),
    ],
)
def test_a_call_that_is_none_is_refused_and_the_server_goes_on(
    there: Sharing, path: str, body: str, headers: dict[str, str], status: int
) -> None:
    place = urllib.parse.urlsplit(there.url)
    for sent, expected_status in ((headers, status), ({}, 200)):
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        connection.putrequest("POST", path if sent is headers else "/leave")
        said = body if sent is headers else '{"trainer": "a"}'
        for name, value in ({"Content-Length": str(len(said))} | sent).items():
            connection.putheader(name, value)
        connection.endheaders(said.encode())
        assert connection.getresponse().status == expected_status
        connection.close()


@pytest.mark.parametrize(("number", "trainer"), [(True, "a"), (1.5, "a"), (0, "a/b"), (0, 5)])
def test_a_request_of_another_kind_is_refused(there: Sharing, number: Any, trainer: Any) -> None:
    raw = request_bytes(ServedRequest("k", [1], (), SAMPLING, seed=0), trainer=trainer, number=number, weights="w")
    with pytest.raises((ConfigError, TypeError), match=r"must be of kind|has no /"):
        ANSWERS["/submit"](there.model, raw)


def test_weights_that_do_not_arrive_are_found(random_policy: Policy, there: Sharing) -> None:
    served: Any = there.model._served
    served.push = lambda named: None
    with pytest.raises(PolicyError, match=r"vLLM's log-probabilities are .* nats from those of the weights"):
        engine(random_policy, there.url).refresh()


def test_a_policy_without_a_distribution_is_one_line(random_policy: Policy, there: Sharing) -> None:
    served: Any = there.model._served
    step = served.step

    def without() -> list[Completion]:
        return [replace(made, logprobs=(math.nan,) * len(made.ids)) for made in step()]

    asking = engine(random_policy, there.url)
    asking.refresh()
    served.step = without
    asking.submit(requests()[0])
    with pytest.raises(PolicyError, match=r"the policy has no distribution over its next token \(nan\)"):
        run(asking, [])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("url", "localhost:8100", "machine.vllm_url=localhost:8100 must be http://HOST:PORT"),
        ("url", "https://a", "machine.vllm_url=https://a must be http://HOST:PORT"),
        ("url", "http://a:1/v1", "machine.vllm_url=http://a:1/v1 must be http://HOST:PORT"),
        ("lost_after_s", 0.0, "machine.vllm_lost_after_s=0.0 must be above 0"),
        ("stalled_after_s", float("nan"), "machine.vllm_stalled_after_s=nan must be above 0"),
        ("probe_tolerance", 0.0, "rollout.probe_tolerance=0.0 must be above 0"),
    ],
)
def test_values_that_cannot_work_are_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VllmServerRecipe(**{**VALUES, name: value})


def test_two_images_of_the_same_pixels_are_sent() -> None:
    """The vision cache has one tensor for both."""
    states = torch.arange(6.0).view(2, 3)
    images = tuple(ServedImage("a", (1, 2, 4), span, states) for span in ((0, 2), (3, 5)))
    raw = request_bytes(ServedRequest("k", [1], images, SAMPLING, seed=0), trainer="t", number=0, weights="w")
    read, _ = request_of(raw)
    assert [image.span for image in read.images] == [(0, 2), (3, 5)]
    assert all(torch.equal(image.features_MH, states) for image in read.images)

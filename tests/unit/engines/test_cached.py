"""An engine with a memory: everything that decides a reply decides whether it is remembered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ServerError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Message, Request, TextPart
from zoom_iqa.engines.cached import CachedEngine, reply_digest
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.tasks.task import prompt_key

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=5, stop_strings=())


def request(text: str, *, key: str = "k", seed: int = 1, sampling: SamplingParams | None = None) -> Request:
    prompt = (Message("user", (TextPart(text),)),)
    return Request(key, prompt_key(prompt), prompt, seed, sampling=sampling)


class Counted(ScriptedEngine):
    def __init__(self, finish: str = "stop") -> None:
        super().__init__(script=lambda request: "abc", sampling=SAMPLING, policy=None)
        self.asked = 0
        self._finish = finish

    def step(self) -> list[Generation]:
        made = super().step()
        self.asked += len(made)
        return [dataclasses.replace(one, finish=self._finish) for one in made]  # type: ignore[arg-type]


def run(engine: Counted, path: Path, *requests: Request, identity: str = "m") -> list[Generation]:
    with CachedEngine(engine, identity=identity, path=path) as cached:
        for one in requests:
            cached.submit(one)
        found = []
        while cached.busy:
            found += cached.step()
    return found


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    engine, path = Counted(), tmp_path / "replies.jsonl"
    first = run(engine, path, request("a", key="x"), request("b", key="y"))
    again = run(engine, path, request("a", key="x"), request("b", key="other"))
    assert engine.asked == 2
    assert [made.key for made in again] == ["x", "other"]
    assert again[0] == first[0]
    assert again[0].logprobs == (0.0, 0.0, 0.0)


DIFFERENT = {
    "text": (request("b"), "m"),
    "seed": (request("a", seed=2), "m"),
    "sampling": (request("a", sampling=dataclasses.replace(SAMPLING, temperature=0.5)), "m"),
    "identity": (request("a"), "another model"),
}


@pytest.mark.parametrize("changed", DIFFERENT)
def test_what_decides_a_reply_is_part_of_its_name(changed: str) -> None:
    asked, identity = DIFFERENT[changed]
    one = reply_digest(request("a"), identity="m", sampling=SAMPLING)
    assert one == reply_digest(request("a", key="another key"), identity="m", sampling=SAMPLING)
    assert one != reply_digest(asked, identity=identity, sampling=asked.sampling or SAMPLING)


def test_a_failed_answer_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    assert run(Counted("failed"), path, request("a"))[0].finish == "failed"
    engine = Counted()
    assert run(engine, path, request("a"))[0].finish == "stop"
    assert engine.asked == 1


def test_a_failed_answer_is_asked_for_again_in_the_same_run(tmp_path: Path) -> None:
    engine = Counted("failed")
    with CachedEngine(engine, identity="m", path=tmp_path / "replies.jsonl") as cached:
        for asked in (1, 2):
            cached.submit(request("a"))
            assert [made.finish for made in cached.step()] == ["failed"]
            assert engine.asked == asked


def test_a_request_with_a_rule_of_its_own_has_its_own_answer(tmp_path: Path) -> None:
    engine, greedy = Counted(), dataclasses.replace(SAMPLING, greedy=True)
    run(engine, tmp_path / "replies.jsonl", request("a", key="x"), request("a", key="y", sampling=greedy))
    assert engine.asked == 2


def test_a_line_cut_off_by_a_crash_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    run(Counted(), path, request("a", key="x"), request("b", key="y"))
    path.write_bytes(path.read_bytes()[:-4])
    engine = Counted()
    run(engine, path, request("a", key="x"), request("b", key="y"))
    assert engine.asked == 1


@pytest.mark.parametrize("finish", ["stop", "failed"])
def test_equal_requests_under_way_are_asked_once(finish: str, tmp_path: Path) -> None:
    engine = Counted(finish)
    found = run(engine, tmp_path / "replies.jsonl", request("a", key="x"), request("b"), request("a", key="y"))
    assert engine.asked == 2
    assert sorted(made.key for made in found) == ["k", "x", "y"]
    assert {made.finish for made in found} == {finish}
    assert run(engine, tmp_path / "replies.jsonl", request("a", key="z"))[0].key == "z"
    assert engine.asked == (2 if finish == "stop" else 3)


def test_a_request_that_could_not_be_asked_is_asked_when_it_comes_again(tmp_path: Path) -> None:
    class Refusing(Counted):
        refuses = True

        def submit(self, request: Request) -> None:
            if self.refuses:
                raise ServerError("down")
            super().submit(request)

    engine = Refusing()
    with CachedEngine(engine, identity="m", path=tmp_path / "replies.jsonl") as cached:
        with pytest.raises(ServerError):
            cached.submit(request("a"))
        engine.refuses = False
        cached.submit(request("a"))
        assert [made.text for made in cached.step()] == ["abc"]

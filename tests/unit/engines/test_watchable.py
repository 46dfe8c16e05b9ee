"""Answers can be read while they are written, and be given up, in every engine that runs a policy here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.engine_runs import native, plain, run
from support.random_policy import turn1_prompt
from zoom_iqa.base.types import Request
from zoom_iqa.engines.engine import Engine, Watchable
from zoom_iqa.policy.policy import Policy

HALF = "\N{REPLACEMENT CHARACTER}"
REQUESTS = [Request(f"r{seed}", "same", turn1_prompt(0), seed) for seed in range(3)]
ENGINES: dict[str, Callable[[Policy], Engine]] = {"native": native, "transformers": plain}


@pytest.mark.parametrize("name", ENGINES)
def test_texts_grow_into_the_answers(name: str, random_policy: Policy) -> None:
    expected = run(ENGINES[name](random_policy), REQUESTS)
    engine = ENGINES[name](random_policy)
    assert isinstance(engine, Watchable)
    for request in REQUESTS:
        engine.submit(request)
    assert engine.unfinished == {}
    seen: dict[str, list[str]] = {request.key: [] for request in REQUESTS}
    while engine.busy:
        for generation in engine.step():
            assert generation == expected[generation.key]
        for key, text in engine.unfinished.items():
            seen[key].append(text)
    for key, texts in seen.items():
        answer = expected[key]
        first = {"native": 2, "transformers": 1}[name]  # tokens of a row's first step, where one is prefilled
        assert len(texts) == len(answer.token_ids or ()) - first
        assert all(answer.text.startswith(text.rstrip(HALF)) for text in texts)
        assert len(set(texts)) > 5


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_given_up_leaves_nothing(name: str, random_policy: Policy) -> None:
    expected = run(ENGINES[name](random_policy), REQUESTS)
    engine = ENGINES[name](random_policy)
    assert isinstance(engine, Watchable)
    for request in REQUESTS:
        engine.submit(request)
    for _ in range(4):
        engine.step()
    engine.abandon()
    assert (engine.busy, engine.unfinished, engine.step()) == (False, {}, [])
    assert run(engine, REQUESTS) == expected

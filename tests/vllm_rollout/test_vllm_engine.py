"""The same requests to vLLM and to the native engine: the same tokens, and the same numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from support.engine_runs import SAMPLING, native, run
from support.random_policy import chain_prompt, turn1_prompt
from support.vllm_runs import GREEDY, WAYS, assert_alike, changed, copy_of, in_vllm, mixed_requests, recipe
from zoom_iqa.base.errors import ConfigError, PolicyError, SessionError
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.engine import Engine
from zoom_iqa.policy.lora import LoraSettings, adapter_weights, add_adapters
from zoom_iqa.policy.policy import Policy


def test_tokens_and_numbers_are_those_of_the_native_engine(shipped: Policy) -> None:
    engine = in_vllm(shipped, SAMPLING)
    found = run(engine, mixed_requests())
    assert_alike(found, run(native(shipped), mixed_requests()))
    assert max(len(found[f"a/short/{i}"].token_ids or ()) for i in range(3)) == 3
    assert len({found[f"a/long/{i}"].token_ids for i in range(3)}) > 1  # seeds count
    assert engine.probe_gap < 1e-4


def test_what_else_runs_does_not_matter(shipped: Policy) -> None:
    together = run(in_vllm(shipped, SAMPLING), mixed_requests())
    engine = in_vllm(shipped, SAMPLING)
    engine.refresh()  # nothing of the other run is cached
    alone = {key: made for request in mixed_requests()[:5] for key, made in run(engine, [request]).items()}
    assert_alike(alone, {key: together[key] for key in alone})


def test_more_requests_than_rows_all_finish(shipped: Policy) -> None:
    wanted = [Request(f"{n}", "a", turn1_prompt(0), n) for n in range(70)]
    assert_alike(run(in_vllm(shipped, SAMPLING), wanted), run(native(shipped), wanted))


def test_banned_tokens_are_never_drawn(shipped: Policy) -> None:
    eager = copy_of(shipped)
    rows = eager.model.lm_head.weight.data
    rows[list(eager.banned_ids)] = rows.abs().amax() * rows.mean(0).sign()  # nothing is as likely, for some states
    free = replace(SAMPLING, max_new_tokens=60, stop_strings=(), temperature=3.0)
    wanted = [Request(f"{n}", "a", turn1_prompt(0), n, sampling=free) for n in range(8)]
    found = run(in_vllm(eager, SAMPLING), wanted)
    assert not {token for made in found.values() for token in made.token_ids or ()} & set(eager.banned_ids)
    assert_alike(found, run(native(eager), wanted))


def test_a_push_is_seen_and_nothing_of_older_weights_is_left(shipped: Policy) -> None:
    policy = copy_of(shipped)
    engine = in_vllm(policy, SAMPLING)
    wanted = [Request(f"{n}", "a", turn1_prompt(3), n, sampling=GREEDY) for n in range(2)]
    before = run(engine, wanted)
    for layer in policy.model.model.language_model.layers:
        layer.mlp.down_proj.weight.data *= 1.5
    assert_alike(run(engine, wanted), before)  # not pushed yet
    engine.refresh()
    after = run(engine, wanted)
    assert after["0"].logprobs != before["0"].logprobs
    assert_alike(after, run(native(policy), wanted))
    policy.model.model.visual.merger.mlp[2].weight.data *= 2.0  # the tower counts too
    engine.refresh()
    assert_alike(run(engine, wanted), run(native(policy), wanted))


def test_adapters_are_pushed_merged(shipped: Policy) -> None:
    policy = copy_of(shipped)
    add_adapters(policy.model, LoraSettings(rank=4, alpha=8, targets=["q_proj", "down_proj"]))
    generator = torch.Generator().manual_seed(0)
    for name, weight in adapter_weights(policy.model).items():
        if "lora_B" in name:
            weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    wanted = mixed_requests()[:7]
    found = run(in_vllm(policy, SAMPLING), wanted)
    assert_alike(found, run(native(policy), wanted))
    assert found["a/long/0"].logprobs != run(native(shipped), wanted)["a/long/0"].logprobs


def test_engines_take_turns_each_with_its_own_weights(shipped: Policy) -> None:
    other = changed(shipped)
    first, second = in_vllm(shipped, SAMPLING), in_vllm(other, SAMPLING)
    wanted = mixed_requests()[:7]
    for _ in range(2):
        assert_alike(run(first, wanted), run(native(shipped), wanted))
        assert_alike(run(second, wanted), run(native(other), wanted))
    first.submit(wanted[0])
    with pytest.raises(SessionError, match="gets other weights while requests are unfinished"):
        second.submit(wanted[1])
    run(first, [])


def test_a_push_that_did_not_arrive_is_found(shipped: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = in_vllm(shipped, SAMPLING)
    engine.refresh()
    lost = in_vllm(changed(shipped), SAMPLING)
    monkeypatch.setattr(lost._served, "push", lambda named: None)
    with pytest.raises(PolicyError, match=r"vLLM's log-probabilities are .* nats from those of the weights"):
        lost.refresh()
    monkeypatch.undo()
    engine.refresh()
    assert engine.probe_gap < 1e-4


def test_chains_find_their_prefixes(shipped: Policy) -> None:
    def chains(engine: Engine) -> dict[str, Generation]:
        found: dict[str, Generation] = {}
        said: dict[int, list[str]] = {seed: [] for seed in range(2)}
        for turn in range(3):
            wanted = [
                Request(f"{seed}/{turn}", f"{seed}/{turn}", chain_prompt(seed, answers), seed, sampling=GREEDY)
                for seed, answers in said.items()
            ]
            made = run(engine, wanted)
            found |= made
            for seed, answers in said.items():
                answers.append(made[f"{seed}/{turn}"].text)
        return found

    engine = in_vllm(shipped, SAMPLING)
    engine.refresh()
    before = engine.cached_tokens
    assert_alike(chains(engine), chains(native(shipped)))
    prompts = [len(shipped.encode(chain_prompt(seed, [])).ids_L) for seed in range(2)]
    assert engine.cached_tokens - before >= 2 * sum(length // 32 * 32 for length in prompts) > 0
    again = engine.cached_tokens
    engine.refresh()  # new weights: no keys of older ones
    run(engine, [Request("again", "again", chain_prompt(0, []), 0)])
    assert engine.cached_tokens - again <= 32  # the words all prompts begin with, which the probe has computed anew


def test_mistakes_name_field_value_and_remedy(shipped: Policy) -> None:
    engine = in_vllm(shipped, SAMPLING)
    long = replace(SAMPLING, max_new_tokens=5000)
    with pytest.raises(ConfigError, match=r"x: \d+ prompt tokens and 5000 new ones exceed rollout.context_tokens=4096"):
        engine.submit(Request("x", "x", turn1_prompt(0), 0, sampling=long))
    assert not engine.busy
    with pytest.raises(ConfigError, match="one set of values in a process"):
        recipe(rows=2)(policy=shipped, sampling=SAMPLING, features=engine._features)
    engine.submit(Request("x", "x", turn1_prompt(0), 0))
    with pytest.raises(SessionError, match="'x' is asked for twice at once"):
        engine.submit(Request("x", "x", turn1_prompt(0), 0))
    run(engine, [])
    engine.release()
    assert engine.step() == []


def test_sleep_is_refused_on_a_cpu_by_name(shipped: Policy) -> None:
    from zoom_iqa.engines.vllm.served import ServedModel

    with pytest.raises(ConfigError, match=r"rollout\.sleep=true: vLLM sleeps on GPUs only"):
        ServedModel(shipped, recipe(sleep=True)._settings())


def test_the_order_of_answers_is_free(shipped: Policy) -> None:
    wanted: Sequence[Request] = [
        Request("long", "a", turn1_prompt(0), 0, sampling=WAYS["long"]),
        Request("short", "a", turn1_prompt(0), 1, sampling=WAYS["short"]),
    ]
    engine = in_vllm(shipped, SAMPLING)
    for request in wanted:
        engine.submit(request)
    order: list[str] = []
    while engine.busy:
        order += [made.key for made in engine.step()]
    assert order == ["short", "long"]

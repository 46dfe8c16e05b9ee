"""Requests that bring their own sampling, beside others: each is drawn as it would be alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.engine_runs import SAMPLING, assert_same, native, plain, run
from support.random_policy import build_random_policy, turn1_prompt, turn2_prompt
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy

WAYS: dict[str, SamplingParams | None] = {
    "engine's": None,
    "engine's, said": SAMPLING,
    "short": replace(SAMPLING, max_new_tokens=3),
    "long": replace(SAMPLING, max_new_tokens=40, stop_strings=()),
    "stops early": replace(SAMPLING, stop_strings=("a", "e")),
    "cool": replace(SAMPLING, temperature=0.5),
    "truncated": replace(SAMPLING, top_p=0.9, top_k=20),
    "greedy": replace(SAMPLING, greedy=True),
}


def requests() -> list[Request]:
    """One prompt in every way, twice with other seeds, and a second prompt in some."""
    wanted = [
        Request(f"a/{way}/{i}", "a", turn1_prompt(0), 10 * n + i, sampling=sampling)
        for i in range(2)
        for n, (way, sampling) in enumerate(WAYS.items())
    ]
    return wanted + [Request(f"b/{way}", "b", turn2_prompt(1), 7, sampling=WAYS[way]) for way in ("long", "greedy")]


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize(("budget", "share"), [(100_000, 0.5), (260, 0.0), (400, 0.5)])
def test_each_request_is_drawn_its_own_way(random_policy: Policy, budget: int, share: float, graphs: bool) -> None:
    found = run(native(random_policy, budget=budget, share=share, graphs=graphs), requests())
    alone: dict[str, Generation] = {}
    for request in requests():
        way = SAMPLING if request.sampling is None else request.sampling
        alone |= run(plain(random_policy, way), [replace(request, sampling=None)])
    assert_same(found, alone)
    assert_same(run(plain(random_policy), requests()), alone)
    assert max(len(found[f"a/short/{i}"].token_ids) for i in range(2)) == 3
    assert max(len(generation.token_ids) for generation in found.values()) > 24


def test_log_probabilities_are_of_the_distribution_each_was_drawn_from(random_policy: Policy) -> None:
    found = run(native(random_policy), requests())
    for way, temperature in (("engine's", 1.0), ("cool", 0.5), ("greedy", 1.0)):
        generation = found[f"a/{way}/0"]
        sample = PromptCompletion(random_policy.encode(turn1_prompt(0)), "a", torch.tensor(generation.token_ids))
        scored = Likelihood(policy=random_policy, temperature=temperature, features=None, logit_chunk=64)
        with torch.no_grad():
            logp_T = scored([sample], entropy=False, select_S=None).logp_T
        torch.testing.assert_close(torch.tensor(generation.logprobs), logp_T, rtol=1e-4, atol=2e-5)


def test_the_ways_of_a_prompt_share_its_prefill() -> None:
    policy = build_random_policy()
    engine = native(policy)
    lengths: list[int] = []
    policy.model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    run(engine, [request for request in requests() if request.prompt_key == "a"])
    assert lengths == [len(policy.encode(turn1_prompt(0)).ids_L)]


@pytest.mark.parametrize("with_policy", [False, True])
def test_a_written_text_is_cut_at_the_most_new_tokens_allowed(random_policy: Policy, with_policy: bool) -> None:
    policy = random_policy if with_policy else None
    engine = ScriptedEngine(script=lambda request: "exposure", sampling=SAMPLING, policy=policy)
    whole, cut = Request("whole", "a", (), 0), Request("cut", "a", (), 0, sampling=replace(SAMPLING, max_new_tokens=2))
    found = run(engine, [whole, cut])
    assert (found["whole"].text, found["whole"].finish) == ("exposure", "stop")
    assert (len(found["cut"].token_ids), found["cut"].finish) == (2, "length")
    assert "exposure".startswith(found["cut"].text)
    assert found["cut"].text not in ("", "exposure")

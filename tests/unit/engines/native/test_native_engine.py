"""The native engine against transformers: mixed prompts, two images, any batching, joining and leaving."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from support.engine_runs import SAMPLING, assert_same, forwarded_tokens, native, plain, run
from support.random_policy import build_random_policy, turn1_prompt, turn2_prompt
from zoom_iqa.base.errors import ConfigError, PolicyError, SessionError
from zoom_iqa.base.types import Message, Request
from zoom_iqa.engines.native.engine import NativeEngineRecipe
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

PROMPTS: dict[str, tuple[Message, ...]] = {
    "short": turn1_prompt(0),
    "long": turn1_prompt(1, width=96, height=96, words=11),
    "turn 2": turn2_prompt(0),
    "turn 2 of another": turn2_prompt(5),
}
SIZES = {"short": 4, "long": 4, "turn 2": 1, "turn 2 of another": 2}


def requests(sizes: dict[str, int] = SIZES) -> list[Request]:
    return [
        Request(f"{name}/{i}", name, PROMPTS[name], 100 * number + i)
        for number, (name, size) in enumerate(sizes.items())
        for i in range(size)
    ]


def generate(policy: Policy, name: str, count: int) -> list[int]:
    """Greedy tokens by transformers' generate."""
    encoded = policy.encode(PROMPTS[name])
    ids = encoded.ids_L[None]
    out = policy.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=torch.cat([image.pixels_PD for image in encoded.images]),
        image_grid_thw=torch.tensor([image.grid for image in encoded.images]),
        mm_token_type_ids=(ids == policy.encoder.image_pad_id).int(),
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=list(policy.stop_ids),
        suppress_tokens=list(policy.banned_ids),
    )
    found: list[int] = out[0, ids.shape[1] :].tolist()
    return found


def test_greedy_equals_generate_token_by_token(random_policy: Policy) -> None:
    """All in one batch: prompts of different lengths, a group sharing its prompt, two images in one prompt."""
    found = run(native(random_policy, replace(SAMPLING, greedy=True, max_new_tokens=150)), requests())
    expected = {name: generate(random_policy, name, 150) for name in PROMPTS}
    for key, generation in found.items():
        assert list(generation.token_ids) == expected[key.partition("/")[0]]


def test_greedy_equals_generate_on_a_left_padded_batch(random_policy: Policy) -> None:
    encoded = {name: random_policy.encode(prompt) for name, prompt in PROMPTS.items()}
    longest = max(len(prompt.ids_L) for prompt in encoded.values())
    ids = torch.full((len(encoded), longest), random_policy.pad_id)
    attended = torch.zeros_like(ids)
    for row, prompt in enumerate(encoded.values()):
        ids[row, longest - len(prompt.ids_L) :] = prompt.ids_L
        attended[row, longest - len(prompt.ids_L) :] = 1
    images = [image for prompt in encoded.values() for image in prompt.images]
    expected = random_policy.model.generate(
        input_ids=ids,
        attention_mask=attended,
        pixel_values=torch.cat([image.pixels_PD for image in images]),
        image_grid_thw=torch.tensor([image.grid for image in images]),
        mm_token_type_ids=(ids == random_policy.encoder.image_pad_id).int(),
        do_sample=False,
        max_new_tokens=24,
        min_new_tokens=24,
        suppress_tokens=[*random_policy.banned_ids, *random_policy.stop_ids],
    )[:, longest:]
    unstopped = build_random_policy()
    unstopped.banned_ids = (*unstopped.banned_ids, *unstopped.stop_ids)
    sampling = replace(SAMPLING, greedy=True, stop_strings=())
    found = run(native(unstopped, sampling), requests(dict.fromkeys(PROMPTS, 1)))
    assert [list(found[f"{name}/0"].token_ids) for name in PROMPTS] == expected.tolist()


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize(("budget", "share"), [(100_000, 0.5), (260, 0.0), (260, 0.5), (260, 1.0)])
def test_results_do_not_depend_on_batching(random_policy: Policy, budget: int, share: float, graphs: bool) -> None:
    """A small budget splits groups and admits in turns; noise is below 2e-5 in log-probabilities (asserted)."""
    engine = native(random_policy, budget=budget, share=share, graphs=graphs)
    assert_same(run(engine, requests()), run(plain(random_policy), requests()))


def test_sampling_log_probabilities_and_entropies_equal_rescoring(random_policy: Policy) -> None:
    wanted = requests()
    found = run(native(random_policy, replace(SAMPLING, temperature=0.8)), wanted)
    samples = [
        PromptCompletion(
            random_policy.encode(request.prompt), request.prompt_key, torch.tensor(found[request.key].token_ids)
        )
        for request in wanted
    ]
    likelihood = Likelihood(policy=random_policy, temperature=0.8, features=None, logit_chunk=64)
    with torch.no_grad():
        scores = likelihood(samples, entropy=True, select_S=None)
    logp = torch.tensor([value for request in wanted for value in found[request.key].logprobs])
    entropy = torch.tensor([value for request in wanted for value in found[request.key].entropies])
    assert float((scores.logp_T - logp).norm() / logp.norm()) < 1e-5
    assert scores.entropy_T is not None
    assert float((scores.entropy_T - entropy).norm() / entropy.norm()) < 1e-5


@pytest.mark.parametrize("graphs", [False, True])
def test_rows_stop_at_their_own_time_and_leave(random_policy: Policy, graphs: bool) -> None:
    """A stop string that random text often spells: rows finish at different steps, and cohorts shrink meanwhile."""
    sampling = replace(SAMPLING, max_new_tokens=140, stop_strings=("a", "e"))
    wanted = requests({"short": 8, "long": 8, "turn 2": 3})
    found = run(native(random_policy, sampling, graphs=graphs), wanted)
    assert_same(found, run(plain(random_policy, sampling), wanted))
    assert len({len(generation.token_ids) for generation in found.values()}) > 5
    assert Counter(generation.finish for generation in found.values())["stop"] > 10


def test_requests_join_while_others_run(random_policy: Policy) -> None:
    engine = native(random_policy, share=0.0)
    first, late = requests({"short": 2}), requests({"turn 2": 2})
    for request in first:
        engine.submit(request)
    found = {}
    for _ in range(5):
        engine.step()
    for request in late:
        engine.submit(request)
    steps = 5
    while engine.busy:
        found |= {generation.key: generation for generation in engine.step()}
        steps += 1
    assert steps < 2 * SAMPLING.max_new_tokens  # they ran side by side
    alone = run(native(random_policy), first) | run(native(random_policy), late)
    assert_same(found, alone)


def test_each_prompt_is_prefilled_once_and_words_that_prompts_begin_with_too(random_policy: Policy) -> None:
    first, second = (random_policy.encode(PROMPTS[name]).ids_L.tolist() for name in ("short", "long"))
    common = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert common > 40  # template and question; then one shows its image and the other goes on
    with forwarded_tokens(random_policy) as counts:
        run(native(random_policy), requests({"short": 4, "long": 2}))
    assert counts == [len(first) + len(second) - common]


def test_refresh_makes_new_weights_count() -> None:
    policy = build_random_policy()
    engine = native(policy, replace(SAMPLING, greedy=True))
    before = run(engine, requests({"short": 1}))["short/0"]
    with torch.no_grad():
        policy.model.model.language_model.layers[0].mlp.down_proj.weight.mul_(-1)
        policy.model.model.visual.merger.mlp[2].weight.mul_(-1)
    engine.refresh()
    after = run(engine, requests({"short": 1}))["short/0"]
    assert before.token_ids != after.token_ids
    assert list(after.token_ids) == generate(policy, "short", SAMPLING.max_new_tokens)


def test_dropped_weights_come_back(random_policy: Policy) -> None:
    engine = native(random_policy, SAMPLING)
    before = run(engine, requests())
    copied = weakref.ref(engine._weights)
    engine.drop_weights()
    assert copied() is None
    engine.refresh()
    assert run(engine, requests()) == before


def test_adapters_take_part() -> None:
    from zoom_iqa.policy.lora import LoraSettings, add_adapters

    policy = build_random_policy()
    add_adapters(policy.model, LoraSettings(rank=2, alpha=4.0, targets=("q_proj", "v_proj", "down_proj")))
    torch.manual_seed(0)
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    found = run(native(policy, replace(SAMPLING, greedy=True)), requests({"short": 1, "turn 2": 1}))
    for key, generation in found.items():
        assert list(generation.token_ids) == generate(policy, key.partition("/")[0], SAMPLING.max_new_tokens)


def test_bfloat16_draws_and_scores_alike() -> None:
    """In 16 bits sampler and likelihood differ by rounding only; most tokens' log-probabilities agree to 0.1 nats."""
    policy = build_random_policy()
    policy.model.to(torch.bfloat16)
    wanted = requests({"short": 3, "long": 3})
    found = run(native(policy), wanted)
    samples = [
        PromptCompletion(policy.encode(r.prompt), r.prompt_key, torch.tensor(found[r.key].token_ids)) for r in wanted
    ]
    with torch.no_grad():
        scores = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)(
            samples, entropy=False, select_S=None
        )
    gap = (scores.logp_T - torch.tensor([v for r in wanted for v in found[r.key].logprobs])).abs()
    assert scores.logp_T.dtype == torch.float32
    assert float(gap.median()) < 0.1


def test_a_request_over_the_budget_is_refused_and_the_budget_it_needs_is_named(random_policy: Policy) -> None:
    with pytest.raises(ConfigError, match=r"machine.token_budget=50 .* lower policy.max_pixels") as error:
        native(random_policy, budget=50).submit(requests()[0])
    needed = int(str(error.value).partition("raise it to at least ")[2].partition(",")[0])
    native(random_policy, budget=needed).submit(requests()[0])
    with pytest.raises(ConfigError, match=f"token_budget={needed - 1}"):
        native(random_policy, budget=needed - 1).submit(requests()[0])


def test_settings_make_the_engine_when_there_is_a_policy(random_policy: Policy) -> None:
    settings = NativeEngineRecipe(token_budget=100_000, join_share=0.5, cuda_graphs=False)
    features = VisionCache(model=random_policy.model, capacity=10_000)
    made = settings(policy=random_policy, sampling=SAMPLING, features=features)
    assert run(made, requests({"short": 2})) == run(native(random_policy), requests({"short": 2}))


@pytest.mark.parametrize(("budget", "share"), [(0, 0.5), (-1, 0.5), (1000, 7.0), (1000, -0.1), (1000, math.nan)])
def test_settings_that_cannot_work_are_refused_before_there_is_a_policy(budget: int, share: float) -> None:
    with pytest.raises(ConfigError, match=r"token_budget=(0|-1)" if budget < 1 else f"join_share={share}"):
        NativeEngineRecipe(token_budget=budget, join_share=share, cuda_graphs=False)


def test_models_it_does_not_know_are_refused() -> None:
    policy = build_random_policy()
    policy.model.model.language_model.config.hidden_act = "gelu"
    with pytest.raises(PolicyError, match="hidden_act=gelu"):
        native(policy)


def with_unused_rows(policy: Policy, count: int) -> Policy:
    """The policy with rows of its head that are of no token, as Qwen's checkpoints have them."""
    policy.model.resize_token_embeddings(len(policy.tokenizer) + count)
    return Policy(
        model=policy.model, tokenizer=policy.tokenizer, image_processor=policy.image_processor, image_cache=64
    )


def test_rows_of_the_head_without_a_token_are_never_drawn() -> None:
    policy = with_unused_rows(build_random_policy(), 64)
    with torch.no_grad():
        policy.model.lm_head.weight[320:] = 3 * policy.model.lm_head.weight[:64]
    answers = run(native(policy), requests({"short": 6})).values()
    assert max(token for answer in answers for token in answer.token_ids or ()) < 320


def test_weights_do_not_change_under_a_request(random_policy: Policy) -> None:
    engine = native(random_policy)
    engine.submit(requests({"short": 1})[0])
    with pytest.raises(SessionError, match="requests are unfinished"):
        engine.refresh()
    engine.abandon()
    engine.refresh()


def test_an_idle_engine_returns_nothing(random_policy: Policy) -> None:
    engine = native(random_policy)
    assert not engine.busy
    assert engine.step() == []


@pytest.mark.parametrize("sampled", [{}, {"greedy": True}, {"top_k": 5, "top_p": 0.9}], ids=str)
@pytest.mark.parametrize("engine", [native, plain])
@pytest.mark.parametrize("unused_rows", [0, 64])
def test_a_policy_whose_weights_are_not_finite_is_one_line(
    unused_rows: int, engine: Any, sampled: dict[str, Any]
) -> None:
    policy = with_unused_rows(build_random_policy(), unused_rows)
    with torch.no_grad():
        policy.model.model.language_model.norm.weight.fill_(math.nan)
    with pytest.raises(
        PolicyError, match=r"no distribution over its next token \(nan\): .* take an earlier checkpoint"
    ):
        run(engine(policy, replace(SAMPLING, **sampled)), requests({"short": 2}))

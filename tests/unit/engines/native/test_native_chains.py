"""Conversations that grow, in the native engine: a turn prefills what is new, and says what it would say anyway."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.engine_runs import SAMPLING, assert_same, forwarded_tokens, native, plain, run
from support.random_policy import build_random_policy, chain_prompt
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.engine import Engine
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PackedSize, PromptCompletion
from zoom_iqa.policy.policy import Policy

TURNS = 4
IMAGES, ROLLOUTS = (0, 3), 3
SHORT = replace(SAMPLING, max_new_tokens=9, stop_strings=("7",))


@pytest.fixture(scope="module")
def digits_policy() -> Policy:
    """Says digits alone, which are encoded one by one: what it has said is encoded again as the same tokens."""
    return only_digits(build_random_policy())


def only_digits(policy: Policy) -> Policy:
    digits = {policy.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"}
    ids = range(policy.model.config.get_text_config().vocab_size)
    policy.banned_ids = tuple(token for token in ids if token not in digits)
    return policy


def converse(engine: Engine) -> dict[str, Generation]:
    """Each image in a few conversations; a turn is asked for when the one before is in."""
    said: dict[str, list[str]] = {}
    found: dict[str, Generation] = {}

    def ask(image: int, rollout: int) -> None:
        answers = said.setdefault(f"{image}/{rollout}", [])
        key = f"{image}/{rollout}/{len(answers)}"
        seed = 100 * image + 10 * rollout + len(answers)
        engine.submit(Request(key, f"{image}/{answers}", chain_prompt(image, answers), seed))

    for image in IMAGES:
        for rollout in range(ROLLOUTS):
            ask(image, rollout)
    while engine.busy:
        for generation in engine.step():
            found[generation.key] = generation
            image, rollout, turn = map(int, generation.key.split("/"))
            said[f"{image}/{rollout}"].append(generation.text)
            if turn + 1 < TURNS:
                ask(image, rollout)
    return found


def forwarded(policy: Policy, engine: Engine) -> tuple[dict[str, Generation], int]:
    """What is said, and how many tokens transformers' model saw meanwhile."""
    with forwarded_tokens(policy) as counts:
        found = converse(engine)
    return found, sum(counts)


def needed(found: dict[str, Generation]) -> int:
    """Tokens that are new: of first prompts those that differ; later all but what the turn before has keys of."""
    first = PackedSize()
    total = 0
    for key, generation in found.items():
        prompt = generation.prompt
        assert isinstance(prompt, EncodedPrompt)
        stem, turn = key.rsplit("/", 1)
        if turn == "0":
            sample = PromptCompletion(prompt, key, torch.tensor([0]))
            total += first.added_by(sample)
            first.add(sample)
        else:
            before = found[f"{stem}/{int(turn) - 1}"]
            assert isinstance(before.prompt, EncodedPrompt)
            total += len(prompt.ids_L) - (len(before.prompt.ids_L) + len(before.token_ids) - 1)
    return total


@pytest.fixture(scope="module")
def expected(digits_policy: Policy) -> dict[str, Generation]:
    return converse(plain(digits_policy, SHORT))


def test_a_chain_costs_its_length(digits_policy: Policy, expected: dict[str, Generation]) -> None:
    found, count = forwarded(digits_policy, native(digits_policy, SHORT))
    assert_same(found, expected)
    assert 0.8 * needed(found) < count <= needed(found)  # conversations that say the same share more
    whole = sum(len(generation.prompt.ids_L) for generation in found.values())  # type: ignore[attr-defined]
    assert count < 0.4 * whole
    assert len({len(generation.token_ids) for generation in found.values()}) > 3


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize(("budget", "share"), [(100_000, 0.0), (1500, 0.5), (700, 0.0), (450, 1.0)])
def test_what_is_said_does_not_depend_on_what_there_is_room_to_keep(
    digits_policy: Policy, expected: dict[str, Generation], budget: int, share: float, graphs: bool
) -> None:
    engine = native(digits_policy, SHORT, budget=budget, share=share, graphs=graphs)
    assert_same(converse(engine), expected)


def test_greedy_chains_equal_the_plain_engine(digits_policy: Policy) -> None:
    greedy = replace(SHORT, greedy=True)
    assert_same(converse(native(digits_policy, greedy)), converse(plain(digits_policy, greedy)))


def test_a_policy_that_says_what_is_encoded_otherwise_shares_up_to_there(random_policy: Policy) -> None:
    """Random weights spell text in other tokens than its encoding has: less is shared, and nothing is wrong."""
    found, count = forwarded(random_policy, native(random_policy))
    assert_same(found, converse(plain(random_policy)))
    assert count > needed(found)


@pytest.mark.parametrize("verb", ["release", "refresh"])
def test_what_is_kept_can_be_dropped(digits_policy: Policy, verb: str) -> None:
    engine = native(digits_policy, SHORT)
    prompt = chain_prompt(0, [])
    length = len(digits_policy.encode(prompt).ids_L)

    def again(key: str) -> int:
        with forwarded_tokens(digits_policy) as counts:
            run(engine, [Request(key, "a", prompt, 0)])
        return sum(counts)

    assert again("first") == length
    assert again("second") == 1  # the last token, which predicts
    getattr(engine, verb)()
    assert again("third") == length


def test_new_weights_are_not_answered_from_old_keys() -> None:
    policy = only_digits(build_random_policy())
    engine = native(policy, replace(SHORT, greedy=True))
    before = converse(engine)
    with torch.no_grad():
        policy.model.model.language_model.layers[0].mlp.down_proj.weight.mul_(-1)
    engine.refresh()
    after = converse(engine)
    assert_same(after, converse(plain(policy, replace(SHORT, greedy=True))))
    assert any(after[key].token_ids != before[key].token_ids for key in before)


def test_in_16_bits_kept_keys_are_as_good_as_new_ones() -> None:
    """Both round: the log-probabilities recorded over kept keys are as far from float32's as those without."""
    policy = only_digits(build_random_policy())
    exact = Likelihood(policy=only_digits(build_random_policy()), temperature=1.0, features=None, logit_chunk=64)
    policy.model.to(torch.bfloat16)
    gaps = []
    for budget in (100_000, 450):
        found = converse(native(policy, SHORT, budget=budget, share=1.0))
        samples = [
            PromptCompletion(generation.prompt, key, torch.tensor(generation.token_ids))  # type: ignore[arg-type]
            for key, generation in found.items()
        ]
        with torch.no_grad():
            scores = exact(samples, entropy=False, select_S=None)
        sampled = torch.tensor([value for generation in found.values() for value in generation.logprobs])
        gaps.append(float((scores.logp_T - sampled).abs().mean()))
    assert gaps[0] < 1.3 * gaps[1]

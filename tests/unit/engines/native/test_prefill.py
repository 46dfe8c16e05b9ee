"""Prefilling against transformers' own forward and cache, prompt by prompt, with and without a store."""

from __future__ import annotations

import torch
from transformers import DynamicCache

from support.engine_runs import forwarded_tokens
from support.random_policy import TEXTS, build_random_policy, chain_prompt, turn1_prompt
from zoom_iqa.engines.native.prefill import Prefilled, prefill
from zoom_iqa.engines.native.prefix_store import PrefixStore
from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.packing import WORTH_SHARING
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.prefix_tree import sequence_of, shared_length
from zoom_iqa.policy.shared_prefix import install
from zoom_iqa.policy.vision_cache import VisionCache

NOTHING = torch.zeros(0, dtype=torch.long)


class CountingVision(VisionCache):
    """Remembers which images were asked for."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(model=policy.model, capacity=10_000)
        self.asked: list[str] = []

    def __call__(self, images: list[EncodedImage]) -> list[torch.Tensor]:  # type: ignore[override]
        self.asked += [image.key for image in images]
        return super().__call__(images)


@torch.no_grad()
def plain(policy: Policy, prompt: EncodedPrompt) -> tuple[torch.Tensor, torch.Tensor]:
    """The last hidden state (H), and keys and values (layers, 2, J, L, D)."""
    cache = DynamicCache(config=policy.model.config.get_text_config())
    features = VisionCache(model=policy.model, capacity=10_000)(prompt.images)
    out = policy.model.model.language_model(
        inputs_embeds=embed(policy, prompt.ids_L, features)[None],
        position_ids=prompt.positions_3L[:, None],
        past_key_values=cache,
        use_cache=True,
    )
    kv = torch.stack([torch.stack((layer.keys[0], layer.values[0])) for layer in cache.layers])
    return out.last_hidden_state[0, -1], kv


def check(policy: Policy, prompts: list[EncodedPrompt], found: Prefilled) -> None:
    padded = found.padded(range(len(prompts)))
    assert padded.shape[4] == max(len(prompt.ids_L) for prompt in prompts)
    for row, prompt in enumerate(prompts):
        hidden, kv = plain(policy, prompt)
        torch.testing.assert_close(found.hidden_nH[row], hidden, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(padded[:, :, row, :, : len(prompt.ids_L)], kv, rtol=1e-4, atol=1e-4)
    turned = found.padded([len(prompts) - 1, 0])
    for row, i in enumerate((len(prompts) - 1, 0)):
        length = len(prompts[i].ids_L)
        assert turned[:, :, row, :, :length].equal(padded[:, :, i, :, :length])


def put(store: PrefixStore, policy: Policy, prompt: EncodedPrompt) -> None:
    _, kv = plain(policy, prompt)
    store.add(sequence_of(prompt, NOTHING).tokens_5L, lambda start, stop: kv[..., start:stop, :].clone())


@torch.no_grad()
def test_prompts_of_any_lengths_equal_plain_forwards() -> None:
    policy = build_random_policy()
    install(policy.model)
    messages = [turn1_prompt(0), turn1_prompt(1, width=96, height=96, words=19), turn1_prompt(2, words=19)]
    prompts = [policy.encode(message) for message in (*messages, chain_prompt(2, ["final"]))]
    check(policy, prompts, prefill(policy, prompts, CountingVision(policy), PrefixStore()))


@torch.no_grad()
def test_only_what_is_new_is_forwarded_and_encoded() -> None:
    """Of four prompts two extend a stored one, one is stored as it is, and one begins with the same template."""
    policy = build_random_policy()
    install(policy.model)
    store = PrefixStore()
    answers = [TEXTS[1][:20], "exposure", "contrast"]
    stored = [policy.encode(chain_prompt(0, answers[:1])), policy.encode(chain_prompt(0, ["dark"]))]
    for prompt in stored:
        put(store, policy, prompt)
    prompts = [
        policy.encode(chain_prompt(0, answers[:2])),
        policy.encode(chain_prompt(0, answers)),
        stored[1],
        policy.encode(turn1_prompt(7, width=96, height=96, words=3)),
    ]
    vision = CountingVision(policy)
    with forwarded_tokens(policy) as counts:
        found = prefill(policy, prompts, vision, store)
    template = shared_length(*(sequence_of(prompt, NOTHING).tokens_5L for prompt in prompts[2:]))
    assert template > 32
    assert counts == [len(prompts[1].ids_L) - len(stored[0].ids_L) + 1 + len(prompts[3].ids_L) - template]
    assert vision.asked == ["image0@1", "image0@2", "image7-96x96"]
    check(policy, prompts, found)


@torch.no_grad()
def test_an_image_right_behind_what_is_stored_is_encoded() -> None:
    policy = build_random_policy()
    install(policy.model)
    store = PrefixStore()
    prompt = policy.encode(turn1_prompt(1))
    ((stored, _),) = prompt.image_spans
    assert stored >= WORTH_SHARING
    _, kv = plain(policy, prompt)
    tokens_5L = sequence_of(prompt, NOTHING).tokens_5L[:, :stored]
    store.add(tokens_5L, lambda start, stop: kv[..., start:stop, :].clone())
    found = prefill(policy, [prompt], CountingVision(policy), store)
    assert found.kept[0][0].shape[2] == len(prompt.ids_L) - stored
    check(policy, [prompt], found)


@torch.no_grad()
def test_a_beginning_that_is_not_worth_it_is_forwarded_again() -> None:
    policy = build_random_policy()
    install(policy.model)
    store = PrefixStore()
    prompt = policy.encode(turn1_prompt(1))
    length = len(prompt.ids_L)
    for stored, forwarded in ((WORTH_SHARING - 1, length), (WORTH_SHARING, length - WORTH_SHARING)):
        _, kv = plain(policy, prompt)
        tokens_5L = sequence_of(prompt, NOTHING).tokens_5L[:, :stored]
        store.add(tokens_5L, lambda start, stop, kv=kv: kv[..., start:stop, :].clone())
        found = prefill(policy, [prompt], CountingVision(policy), store)
        assert found.kept[0][0].shape[2] == forwarded
        check(policy, [prompt], found)

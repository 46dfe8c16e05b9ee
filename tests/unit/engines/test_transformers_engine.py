"""The plain engine: greedy equals transformers' generate, sampling equals rescoring."""

from __future__ import annotations

import torch

from support.random_policy import turn1_prompt, turn2_prompt
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Message, Request
from zoom_iqa.engines.transformers_engine import TransformersEngine
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

PROMPTS: dict[str, tuple[Message, ...]] = {
    "short": turn1_prompt(0),
    "long": turn1_prompt(1, width=96, height=96, words=11),
    "two images": turn2_prompt(0),
}


def run(policy: Policy, *, greedy: bool) -> dict[str, Generation]:
    sampling = SamplingParams(
        temperature=1.0, top_p=1.0, top_k=0, greedy=greedy, max_new_tokens=20, stop_strings=("</answer>",)
    )
    engine = TransformersEngine(
        policy=policy, sampling=sampling, features=VisionCache(model=policy.model, capacity=1000)
    )
    for seed, (key, prompt) in enumerate(PROMPTS.items()):
        engine.submit(Request(key, key, prompt, seed))
    found = []
    while engine.busy:
        found.extend(engine.step())
    return {generation.key: generation for generation in found}


def test_greedy_equals_generate(random_policy: Policy) -> None:
    found = run(random_policy, greedy=True)
    for key, prompt in PROMPTS.items():
        encoded = random_policy.encode(prompt)
        ids = encoded.ids_L[None]
        expected = random_policy.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=torch.cat([image.pixels_PD for image in encoded.images]),
            image_grid_thw=torch.tensor([image.grid for image in encoded.images]),
            mm_token_type_ids=(ids == random_policy.encoder.image_pad_id).int(),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=list(random_policy.stop_ids),
            suppress_tokens=list(random_policy.banned_ids),
        )[0, ids.shape[1] :]
        assert list(found[key].token_ids) == expected.tolist()


def test_sampling_log_probabilities_equal_rescoring(random_policy: Policy) -> None:
    found = run(random_policy, greedy=False)
    samples = [
        PromptCompletion(random_policy.encode(PROMPTS[key]), key, torch.tensor(generation.token_ids))
        for key, generation in found.items()
    ]
    likelihood = Likelihood(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    with torch.no_grad():
        scores = likelihood(samples, entropy=True, select_S=None)
    logp = torch.tensor([value for generation in found.values() for value in generation.logprobs])
    entropy = torch.tensor([value for generation in found.values() for value in generation.entropies])
    torch.testing.assert_close(scores.logp_T, logp, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(scores.entropy_T, entropy, rtol=1e-5, atol=2e-5)


def test_lengths_and_reasons(random_policy: Policy) -> None:
    for generation in run(random_policy, greedy=False).values():
        stopped = generation.token_ids[-1] in random_policy.stop_ids or generation.text.endswith("</answer>")
        assert generation.finish == ("stop" if stopped else "length")
        assert len(generation.token_ids) <= 20
        assert len(generation.logprobs) == len(generation.entropies) == len(generation.token_ids)


def test_greedy_and_sampling_differ(random_policy: Policy) -> None:
    """Otherwise the comparisons above would hold for a policy without randomness."""
    greedy, sampled = run(random_policy, greedy=True), run(random_policy, greedy=False)
    assert any(greedy[key].token_ids != sampled[key].token_ids for key in greedy)
    assert len({token for g in sampled.values() for token in g.token_ids}) > 10


def test_an_idle_engine_returns_nothing(random_policy: Policy) -> None:
    engine = TransformersEngine(
        policy=random_policy,
        sampling=SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=2, stop_strings=()),
        features=VisionCache(model=random_policy.model, capacity=10),
    )
    assert not engine.busy
    assert engine.step() == []

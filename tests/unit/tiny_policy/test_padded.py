"""A padded batch gives what packed sequences give, whatever stands beside a turn."""

from __future__ import annotations

import pytest
import torch

from support.random_policy import turn1_prompt, turn2_prompt
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images
from zoom_iqa.tiny_policy.padded import Turn, completion_log_probs, prompt_states


@pytest.fixture
def samples(random_policy: Policy) -> list[PromptCompletion]:
    prompts = [turn1_prompt(1), turn2_prompt(2), turn1_prompt(3)]
    texts = ["short", "a completion of some length, 3.25", "4"]
    return [
        PromptCompletion(random_policy.encode(prompt), str(key), torch.tensor(random_policy.completion_ids(text)))
        for key, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
    ]


def _turns(policy: Policy, samples: list[PromptCompletion]) -> list[Turn]:
    """Turns whose features keep full precision, so that the two ways can be compared."""
    turns = []
    for sample in samples:
        features = encode_images(policy.model, sample.prompt.images)
        turn = Turn.of(sample, features)
        turns.append(Turn(turn.ids_L, turn.positions_3L, turn.prompt_length, tuple(features)))
    return turns


@torch.no_grad()
def test_log_probabilities_are_those_of_packed_sequences(random_policy: Policy, samples: list[PromptCompletion]):
    likelihood = Likelihood(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    packed = likelihood(samples, entropy=False, select_S=None).logp_T
    torch.testing.assert_close(
        completion_log_probs(random_policy, _turns(random_policy, samples)), packed, atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_states_of_prompts_are_those_of_packed_sequences(random_policy: Policy, samples: list[PromptCompletion]):
    likelihood = Likelihood(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    packed = likelihood.prompt_states([sample.prompt for sample in samples])
    torch.testing.assert_close(
        prompt_states(random_policy, _turns(random_policy, samples)), packed, atol=1e-4, rtol=1e-4
    )
